#!/usr/bin/env bash
# Installs what the tests need from Debian. Quick and silent when all of it is there.
set -euo pipefail

# shellcheck source=/dev/null
debian=$(. /etc/os-release && echo "${VERSION_ID:-12}")
packages=(
    attr            # getfattr: the operator's view of a tag
    btrfs-progs     # mkfs of the file systems that the tests mount
    e2fsprogs
    xfsprogs
    curl            # clients and origins as people have them
    openssl         # certificates
    nginx-light
    jq              # reads the log, as an operator does
    python3
    python3-venv    # where Glance is installed for the tests of the driver
    man-db          # reads our man pages
    systemd         # hands sockets over to the daemon
    prometheus      # scrapes our metrics; promtool checks them, and the alerts
    chromium        # opens the page of the admin listener
    chromium-driver # and does there what an operator does
    strace          # which system calls are refused
    dpkg-dev        # which packages our command needs
    mmdebstrap      # a Debian for the tests of our package
    iproute2        # its network
    systemd-container # and what starts it
    grub-rescue-pc  # real bootable images
    qemu-system-x86 # boots one of them, as the tutorial does
    ipxe
    "debian-installer-$debian-netboot-amd64"
)

policy=/usr/sbin/policy-rc.d

die() {
    echo "setup: $*" >&2
    exit 1
}

missing() {
    local p
    for p in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null) == installed ]] || echo "$p"
    done
}

# The http driver of qemu-img is a module of its own package, and loads only into the very same version. So ask for
# an address where nobody listens: only a driver that works gets as far as failing to connect.
# (The driver of Debian 12 stalls now and then while several requests are under way, on any server: tests had better
# call `qemu-img convert -m 1`.)
qemu_opens_http() {
    { LC_ALL=C no_proxy='*' qemu-img info http://127.0.0.1:1/x 2>&1 || true; } | grep -qi 'connect'
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Dpkg::Use-Pty=0 "$@" >&2
}

# The tests start the programs they need themselves; nothing installed here should occupy a port meanwhile.
no_services() {
    [[ ! -e $policy ]] || return 0
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
}

command -v dpkg-query >/dev/null || die "this needs Debian; elsewhere install: ${packages[*]} qemu-utils qemu-block-extra"
mapfile -t want < <(missing)
if ! qemu_opens_http; then
    want+=(qemu-utils qemu-block-extra)
fi
((${#want[@]})) || exit 0
((EUID == 0)) || die "missing: ${want[*]}; run $0 as root once to install them"

echo "setup: installing ${want[*]}" >&2
no_services
apt update
mapfile -t want < <(missing)
((${#want[@]} == 0)) || apt install --no-install-recommends "${want[@]}"

if ! qemu_opens_http; then
    # A qemu-utils from elsewhere (backports, say) may be newer than any driver that can be had: then it steps back.
    version=$(LC_ALL=C apt-cache policy qemu-block-extra | awk '/Candidate:/ { print $2 }')
    apt install --no-install-recommends --allow-downgrades "qemu-utils=$version" "qemu-block-extra=$version"
    qemu_opens_http || die "qemu-img still cannot open http:// addresses"
fi
