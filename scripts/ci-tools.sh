#!/usr/bin/env bash
# Installs what `make check` uses when it is there and CI insists on: cargo-deny (minutes of building) and shellcheck.
set -euo pipefail

if ! cargo deny --version >/dev/null 2>&1; then
    cargo install cargo-deny --version '^0.20' --locked --no-default-features
fi

if ! command -v shellcheck >/dev/null; then
    ((EUID == 0)) || { echo "ci-tools: shellcheck is missing; run $0 as root once" >&2; exit 1; }
    DEBIAN_FRONTEND=noninteractive
    export DEBIAN_FRONTEND
    apt-get -qq update
    apt-get -qq -y install --no-install-recommends shellcheck >&2
fi
