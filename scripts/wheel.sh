#!/usr/bin/env bash
# wheel.sh [VENV]: builds the Python wheel into target/wheels, with maturin from a venv of its own under target/, and puts
# it into VENV. What is built or put there already costs only the look; a wheel of other sources is removed.
set -euo pipefail

# shellcheck source=scripts/release-env.sh
source "$(dirname "$0")/release-env.sh"
maturin=$root/target/maturin-venv
wheels=$root/target/wheels

if [[ ! $maturin/ready -nt $0 ]]; then
    rm -rf "$maturin"
    "${PYTHON:-python3}" -m venv "$maturin"
    "$maturin/bin/python" -m pip install --quiet --disable-pip-version-check 'maturin>=1.9,<2' || {
        echo "wheel: cannot install maturin; pip says why, above. It needs PyPI, or pip's settings for a mirror." >&2
        exit 1
    }
    touch "$maturin/ready"
fi

# What the wheel is made of: unless one of these is newer, there is nothing to build.
sources=("$root"/{Cargo.toml,Cargo.lock,scripts/wheel.sh,scripts/release-env.sh,scripts/sbom.py,crates/icewell/{Cargo.toml,README.md,src}}
    "$root"/bindings/python/{Cargo.toml,README.md,pyproject.toml,src,python})
built() {
    compgen -G "$wheels/icewell-*.whl" | head -n 1
}
wheel=$(built || true)
if [[ -z $wheel || -n $(find "${sources[@]}" -newer "$wheel" ! -name '*.pyc' ! -name __pycache__ -print -quit) ]]; then
    rm -f "$wheels"/icewell-*.whl
    # In the wheel, as PEP 770 has it; the licences as PEP 639 has it, where pyproject.toml can name them.
    "$root/scripts/sbom.py" "$root/target/wheel-parts" icewell-python
    cp "$root/target/wheel-parts/third-party-licences" "$root/bindings/python/"
    "$maturin/bin/maturin" build --release --quiet --manifest-path "$root/bindings/python/Cargo.toml" --out "$wheels" \
        --sbom-include "$root/target/wheel-parts/icewell-python.cdx.json"
    wheel=$(built)
fi

(($#)) || exit 0
into=$1
if [[ ! $into/wheel -nt $wheel ]]; then
    "$into/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
    touch "$into/wheel"
fi
