#!/usr/bin/env bash
# Builds what people read: the API documents in target/doc.
set -euo pipefail

RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace
