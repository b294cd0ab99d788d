#!/usr/bin/env bash
# glance-venv.sh VENV: makes VENV a Python environment with Glance 33, what its unit tests and ours need, and the wheel of
# target/wheels. Does nothing where all of that is there; a wheel that was built anew is put in without the rest.
set -euo pipefail

(($# == 1)) || { echo "usage: $0 VENV" >&2; exit 2; }
venv=$1
root=$(cd "$(dirname "$0")/.." && pwd)
wheel=$(compgen -G "$root/target/wheels/icewell-*.whl" | head -n 1 || true)
[[ -n $wheel ]] || { echo "glance-venv: there is no wheel in target/wheels; make wheel" >&2; exit 1; }

packages=(
    glance==33.0.0
    # What Glance's tests import, of its test-requirements.txt.
    "glance_store[cinder,swift]" ddt fixtures oslotest psutil requests testresources testscenarios testtools
    # Glance's own driver, to compare with.
    xattr
    # Ours: the tests' runner, and a WSGI server that forks after configuration.
    pytest gunicorn
)

if [[ ! $venv/ready -nt $0 ]]; then
    echo "glance-venv: installing Glance in $venv" >&2
    rm -rf "$venv"
    "${PYTHON:-python3}" -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${packages[@]}"
    touch "$venv/ready"
fi
if [[ ! $venv/wheel -nt $wheel ]]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$wheel"
    touch "$venv/wheel"
fi
