#!/usr/bin/env bash
# wheel.sh: builds the Python wheel into target/wheels, with maturin from a venv of its own under target/. What is built
# already costs only the look; a wheel of other sources is removed.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/target/maturin-venv
wheels=$root/target/wheels

if [[ ! $venv/ready -nt $0 ]]; then
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2'
    touch "$venv/ready"
fi

# What the wheel is made of: unless one of these is newer, there is nothing to build.
sources=("$root"/{Cargo.toml,Cargo.lock,scripts/wheel.sh,crates/icewell/{Cargo.toml,README.md,src}}
    "$root"/bindings/python/{Cargo.toml,README.md,pyproject.toml,src,python})
wheel=$(compgen -G "$wheels/icewell-*.whl" | head -n 1 || true)
if [[ -n $wheel && -z $(find "${sources[@]}" -newer "$wheel" ! -name '*.pyc' ! -name __pycache__ -print -quit) ]]; then
    exit 0
fi
rm -f "$wheels"/icewell-*.whl
"$venv/bin/maturin" build --release --quiet --manifest-path "$root/bindings/python/Cargo.toml" --out "$wheels"
