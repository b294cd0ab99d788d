#!/usr/bin/env bash
# package-bed.sh: puts a small Debian with systemd and curl, of this machine's release, into target/package-bed/root. The tests of the
# package lay a machine of their own over it. Does nothing when it is there. As root.
set -euo pipefail
cd "$(dirname "$0")/.."

bed=target/package-bed
# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
wanted="$release $(sha256sum <"scripts/package-bed.sh")"
[[ ! -e $bed/ready || $(<"$bed/ready") != "$wanted" ]] || exit 0

((EUID == 0)) || { echo "package-bed: only root can make it" >&2; exit 1; }
[[ -n $release ]] || { echo "package-bed: this needs a Debian with a release" >&2; exit 1; }

echo "package-bed: making a Debian $release (half a minute, once)" >&2
rm -rf "$bed"
mkdir -p "$bed"
mmdebstrap --quiet --variant=minbase --include=systemd-sysv,curl,procps --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/locale/*' "$release" "$bed/root" >&2
echo "$wanted" >"$bed/ready"
