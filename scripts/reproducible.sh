#!/usr/bin/env bash
# reproducible.sh: builds the command, the Debian package and the wheel twice, in two folders of different names, from what is
# committed, and says whether each came out the same, with its SHA-256. Two whole builds: minutes.
set -euo pipefail
cd "$(dirname "$0")/.."

where=$PWD/target/reproducible
tools=$PWD/target/tools
commit=$(git rev-parse HEAD)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct "$commit")
export SOURCE_DATE_EPOCH

rm -rf "$where"
for folder in one another-of-a-longer-name; do
    copy=$where/$folder/icewell
    mkdir -p "$copy/target" "$tools"
    git archive "$commit" | tar -x -C "$copy"
    ln -s "$tools" "$copy/target/tools"
    (cd "$copy" && scripts/deb.sh >/dev/null && scripts/wheel.sh)
    (cd "$copy/target" && sha256sum dist/release/icewell debian/*.deb wheels/*.whl) >"$where/$folder.sums"
    # Half a gigabyte each.
    rm -rf "$copy/target/dist"
done

cat "$where/one.sums"
if ! diff "$where/one.sums" "$where/another-of-a-longer-name.sums"; then
    echo "reproducible: not the same" >&2
    exit 1
fi
echo "reproducible: the same from two folders"
