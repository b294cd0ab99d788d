#!/usr/bin/env bash
# Builds what people read, under target/: the API documents, manual pages, completions, links.
set -euo pipefail

RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace
cargo run --quiet -- man target/man
mkdir -p target/completions
for shell in bash zsh fish; do
    cargo run --quiet -- completions "$shell" > "target/completions/icewell.$shell"
done
# The names of Glance's tools, for a package to install beside the command.
mkdir -p target/links
for name in manage pruner cleaner prefetcher; do
    ln -sfn icewell "target/links/glance-cache-$name"
done
echo "API documents in target/doc, manual pages in target/man, completions in target/completions, links in target/links"
