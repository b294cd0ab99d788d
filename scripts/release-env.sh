# shellcheck shell=bash
# release-env.sh: to be read by scripts that build what is released, so that the same sources, compiler and C compiler give the
# same bytes, in whatever folder and on whatever day; scripts/reproducible.sh says whether they do.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Paths of this machine would be in the texts of panics, in debug information and in what C code asserts. Where one folder
# lies in the other, what is named last counts.
crates=${CARGO_HOME:-$HOME/.cargo}/registry/src
export CARGO_ENCODED_RUSTFLAGS="--remap-path-prefix=$root=/icewell"$'\x1f'"--remap-path-prefix=$crates=/crates"
export CFLAGS="-ffile-prefix-map=$root=/icewell -ffile-prefix-map=$crates=/crates"
unset RUSTFLAGS crates

# Apart from target/release, so that neither is built anew because of the other's flags.
export CARGO_TARGET_DIR=$root/target/dist

# The time of what is packed: that of the sources.
if [[ -z ${SOURCE_DATE_EPOCH:-} ]]; then
    SOURCE_DATE_EPOCH=$(git -C "$root" log -1 --format=%ct 2>/dev/null || stat -c %Y "$root/Cargo.lock")
fi
export SOURCE_DATE_EPOCH
