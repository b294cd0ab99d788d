#!/usr/bin/env bash
# Installs what `make bench-http` measures Icewell beside, from Debian. Quick and silent when all of it is there.
# None of it is left running, and none is started by the system later on because of us.
set -euo pipefail

packages=(
    nginx-light         # the origin of all, and a cache beside Icewell
    varnish
    trafficserver
    squid
    wrk                 # many small requests
    nghttp2-client      # h2load, for HTTP/2
    openssl             # a certificate for the rows over TLS
    python3
)
services=(nginx varnish varnishncsa trafficserver squid)

policy=/usr/sbin/policy-rc.d

die() {
    echo "setup-bench: $*" >&2
    exit 1
}

missing() {
    local p
    for p in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || echo "$p"
    done
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >&2
}

# Nothing installed here may occupy a port, now or after the next boot: the harness starts what it needs by itself.
no_services() {
    [[ ! -e $policy ]] || return 0
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}

command -v dpkg-query >/dev/null || die "this needs Debian; elsewhere install: ${packages[*]}"
mapfile -t want < <(missing)
((${#want[@]})) || exit 0
((EUID == 0)) || die "missing: ${want[*]}; run $0 as root once to install them"

# A service that is enabled already was asked for by somebody else.
unasked=()
if command -v systemctl >/dev/null; then
    for service in "${services[@]}"; do
        systemctl is-enabled --quiet "$service" 2>/dev/null || unasked+=("$service")
    done
fi

echo "setup-bench: installing ${want[*]}" >&2
no_services
apt update
apt install --no-install-recommends "${want[@]}"
for service in "${unasked[@]}"; do
    systemctl disable --quiet "$service" 2>/dev/null || true
done
