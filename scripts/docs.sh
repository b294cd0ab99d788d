#!/usr/bin/env bash
# Builds what people read, under target/: the documents as a site, the API documents in it, manual pages, completions,
# links. The site needs mdBook; the first time it is built, which takes some minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

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

# mdBook without what serves and watches. Unoptimised it is built in half the time, and the site in a second all the same.
mdbook=0.5.4
PATH=$PWD/target/tools/bin:$PATH
if [[ $(mdbook --version 2>/dev/null) != "mdbook v$mdbook" ]]; then
    echo "docs: building mdBook $mdbook" >&2
    CARGO_TARGET_DIR=target/tools/build cargo install --quiet --debug --locked --root target/tools \
        --no-default-features --features search --version "=$mdbook" mdbook
    rm -rf target/tools/build
fi
scripts/site/pages.py target/site-pages
mdbook build
cp -r target/doc target/site/api
scripts/site/check.py target/site

echo "the site in target/site, manual pages in target/man, completions in target/completions, links in target/links"
