#!/usr/bin/env bash
# glance-bed.sh: makes target/glance-bed-venv, a Python with a real Keystone, a real Glance, what Glance's own tests need,
# WSGI servers and clients, as pinned in tests/glance/requirements.txt: all tests with a Glance run in it. Does nothing
# when it is there already and fits. PYTHON names another interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-python3}
requirements=tests/glance/requirements.txt
venv=target/glance-bed-venv
stamp=$venv/made-from

die() {
    echo "glance-bed: $*" >&2
    exit 1
}

# What the venv depends on: where it stands (its programs name their interpreter), the interpreter, the pins.
recipe() {
    pwd
    "$python" -c 'import sys; print(sys.executable, sys.version)'
    cat "$requirements"
}

command -v "$python" >/dev/null || die "$python not found; Glance needs Python 3.11 or newer"
want=$(recipe)
fits() {
    [[ -e $stamp && $(<"$stamp") == "$want" ]]
}
fits && exit 0

mkdir -p target
exec 9>target/glance-bed-venv.lock
flock 9
fits && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$python is too old: Glance needs Python 3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python makes no venvs; on Debian install python3-venv"

echo "glance-bed: installing Keystone, Glance and what tests them into $venv (about a minute, once)" >&2
rm -rf "$venv"
"$python" -m venv "$venv"
pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check "$@" >&2
}
# What was fetched stays in pip's own cache, so that another try goes on where this one ended.
for try in 1 2 3; do
    pip install --quiet --retries 5 --no-deps --requirement "$requirements" && break
    ((try < 3)) || {
        rm -rf "$venv"
        die "could not install what $requirements names; pip says why, above. It needs PyPI, or pip's settings for a mirror."
    }
done
pip check || die "the versions in $requirements do not fit together"
echo "$want" >"$stamp"
