#!/usr/bin/env bash
# Builds what people read, under target/: the API documents, manual pages, completions.
set -euo pipefail

RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace
cargo run --quiet -- man target/man
mkdir -p target/completions
for shell in bash zsh fish; do
    cargo run --quiet -- completions "$shell" > "target/completions/icewell.$shell"
done
echo "API documents in target/doc, manual pages in target/man, completions in target/completions"
