#!/usr/bin/env bash
# axe.sh: puts axe-core, which knows what keeps people out of a page, into target/axe/axe.min.js. It comes from PyPI, in a
# package that is nothing else but a wrapping of it. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

wanted="axe-playwright-python==0.1.8"
axe=target/axe
[[ ! -e $axe/axe.min.js || $(<"$axe/wanted") != "$wanted" ]] || exit 0

rm -rf "$axe"
mkdir -p "$axe"
"${PYTHON:-python3}" -m venv "$axe/venv"
"$axe/venv/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$axe" "$wanted" || {
    echo "axe: cannot fetch $wanted; pip says why, above. It needs PyPI, or pip's settings for a mirror." >&2
    exit 1
}
"$axe/venv/bin/python" - "$axe" <<'END'
import glob, sys, zipfile
folder = sys.argv[1]
wheel = zipfile.ZipFile(glob.glob(folder + "/*.whl")[0])
name = next(name for name in wheel.namelist() if name.endswith("/axe.min.js"))
open(folder + "/axe.min.js", "wb").write(wheel.read(name))
END
rm -rf "$axe/venv"
echo "$wanted" >"$axe/wanted"
