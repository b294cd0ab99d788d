#!/usr/bin/env bash
# Proves from the dependency tree that the layers hold: the library knows no async runtime, no HTTP and no command
# line; the daemon knows no command line. Where one leaks in, its chain is printed.
set -euo pipefail

broken=0

# forbid PACKAGE WHAT REGEX: none of PACKAGE's dependencies, with every feature on, may have a name that is REGEX.
forbid() {
    local package=$1 what=$2 regex=$3 tree found name version
    tree=$(cargo tree -p "$package" -e normal --all-features --prefix none --no-dedupe)
    found=$(awk 'NR > 1 { print $1, $2 }' <<<"$tree" | sort -u | grep -E "^($regex) " || true)
    [[ -n $found ]] || return 0
    broken=1
    while read -r name version; do
        echo "layers: $package must not depend on $what, but it does on $name:" >&2
        cargo tree -p "$package" -e normal --all-features -i "$name@${version#v}" >&2
    done <<<"$found"
}

forbid icewell 'an async runtime' 'tokio|tokio-.*|async-std|async-io|smol|mio|futures.*'
forbid icewell 'HTTP' 'http|http-.*|hyper.*|h2|reqwest|ureq|axum.*|tower.*'
forbid icewell 'the command line' 'clap.*'
forbid icewell 'the layers above it' 'icewell-.*'
forbid icewell-server 'the command line' 'clap.*|icewell-cli'

((broken == 0)) && echo 'layers: hold'
