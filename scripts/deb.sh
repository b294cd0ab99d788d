#!/usr/bin/env bash
# deb.sh [BINARY [VERSION [FOLDER]]]: makes the Debian package, FOLDER/icewell_VERSION_ARCHITECTURE.deb, and prints where it is.
# deb.sh tools: only gets what it takes.
#
# Without arguments it builds the command as it is released, and the package is target/debian/icewell_0.1.0-1_amd64.deb; tests
# give it a command that is built already. The package is made by cargo-deb, which is installed under target/ the first time,
# from what crates/icewell-cli/Cargo.toml says.
set -euo pipefail
umask 022
cd "$(dirname "$0")/.."

wanted=3.8.0
tools=$PWD/target/tools
parts=$PWD/target/deb-parts
binary=${1:-}
version=${2:-}
folder=${3:-target/debian}

die() {
    echo "deb: $*" >&2
    exit 1
}

command -v dpkg-deb >/dev/null || die "this needs Debian, or a system with dpkg"
# By it cargo-deb finds out which packages have the libraries that the command needs.
command -v dpkg-shlibdeps >/dev/null || die "dpkg-shlibdeps is missing; on Debian install dpkg-dev"

# Without optimisation it is there three times sooner, and no slower at this than one can notice.
if [[ $("$tools/bin/cargo-deb" --version 2>/dev/null) != "cargo-deb $wanted" ]]; then
    echo "deb: building cargo-deb $wanted (half a minute, once)" >&2
    env -u CARGO_TARGET_DIR cargo install --quiet cargo-deb --version "=$wanted" --locked --no-default-features --debug --root "$tools" >&2
fi

[[ $binary != tools ]] || exit 0

# shellcheck source=scripts/release-env.sh
source scripts/release-env.sh

release=0
if [[ -z $binary ]]; then
    release=1
    cargo build --release --locked --package icewell-cli >&2
    binary=$CARGO_TARGET_DIR/release/icewell
fi

# What is generated. cargo-deb takes the command from a target directory, whatever it was built as.
rm -rf "$parts"
mkdir -p "$parts"/{man,completions,target/release} "$folder"
cp "$binary" "$parts/target/release/icewell"
"$binary" man "$parts/man" >/dev/null
for shell in bash zsh fish; do
    "$binary" completions "$shell" >"$parts/completions/icewell.$shell"
done
"$binary" config --defaults >"$parts/icewell.toml"
scripts/sbom.py "$parts"
gzip -9n "$parts/third-party-licences"

options=(--package icewell-cli --no-build --strip --no-dbgsym --no-separate-debug-symbols --fast --compress-type gzip
    --compress-system --quiet)
[[ -z $version ]] || options+=(--deb-version "$version")
made=$(CARGO_TARGET_DIR=$parts/target "$tools/bin/cargo-deb" "${options[@]}" --output "$parts")

# With the sums of its files as they were made, which cargo-deb leaves to the machine that unpacks them. As in Debian's own
# packages, what is in /etc has none: that is the operator's to change.
dpkg-deb --raw-extract "$made" "$parts/contents"
(cd "$parts/contents" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod 644 "$parts/contents/DEBIAN/md5sums"
# One thread: the bytes should not depend on how many there are. A test's package is made in two seconds instead of twenty.
pack=(--threads-max=1 -Zxz)
((release)) || pack=(-Zgzip -z1)
dpkg-deb --root-owner-group "${pack[@]}" --build "$parts/contents" "$folder" >/dev/null
echo "$folder/${made##*/}"
