#!/usr/bin/env bash
# dist.sh: makes all that is published, under target/, and looks at it as those who take it will: the crates (built from what
# is packed), wheel and source distribution of the Python package, the Debian package, the bill of materials.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ -n $(git status --porcelain) ]]; then
    echo "dist: there are changes that are not committed; what is published comes from a commit" >&2
    exit 1
fi

# Each against the others as they are packed, since none is published.
cargo package --locked -p icewell -p icewell-server -p icewell-cli

scripts/wheel.sh
maturin=target/maturin-venv/bin
"$maturin/maturin" sdist --manifest-path bindings/python/Cargo.toml --out target/wheels
"$maturin/python" -m pip install --quiet --disable-pip-version-check 'twine>=6,<7'
"$maturin/twine" check --strict target/wheels/*

scripts/deb.sh
if command -v lintian >/dev/null; then lintian target/debian/*.deb; else echo 'lintian: skipped, not installed'; fi

(cd target && sha256sum package/*.crate wheels/*.whl wheels/*.tar.gz debian/*.deb deb-parts/icewell.cdx.json)
