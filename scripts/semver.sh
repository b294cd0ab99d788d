#!/usr/bin/env bash
# semver.sh [REVISION]: whether the interfaces of the libraries have changed more than the version says, since REVISION, or else
# the newest tag of a release. Needs cargo-semver-checks (`cargo install cargo-semver-checks --locked`).
set -euo pipefail
cd "$(dirname "$0")/.."

base=${1:-$(git describe --tags --match 'v[0-9]*' --abbrev=0 2>/dev/null || true)}
if [[ -z $base ]]; then
    echo "semver: no release has been tagged, so there is nothing to keep to yet; a revision can be named" >&2
    exit 0
fi
cargo semver-checks --version >/dev/null 2>&1 || {
    echo "semver: cargo-semver-checks is missing: cargo install cargo-semver-checks --locked" >&2
    exit 1
}
cargo semver-checks --baseline-rev "$base" --package icewell --package icewell-server
