#!/usr/bin/env bash
# File systems for the tests, as root:
#
#   loopfs.sh mount FSTYPE SIZE_MB MOUNTPOINT [MOUNT_OPTIONS]   FSTYPE: ext4 xfs btrfs tmpfs ramfs
#   loopfs.sh umount MOUNTPOINT
#
# `mount` makes MOUNTPOINT where it is missing, and keeps the disk as MOUNTPOINT.img. `umount` removes both, also
# where they are half there or gone, so that it can be called from any clean-up. A ramfs takes no size, and no
# tags: it is the file system without user extended attributes.
set -Eeuo pipefail

usage() {
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

make_disk() {
    local small=()
    truncate -s "${size_mb}M" "$dir.img"
    case $fstype in
        ext4) mkfs.ext4 -q -F -m 0 "$dir.img" ;;
        # Below 300 MB mkfs.xfs wants to hear that this is only a test.
        xfs)
            ((size_mb >= 300)) || small=(--unsupported)
            mkfs.xfs -q -m reflink=1 "${small[@]}" "$dir.img"
            ;;
        # A small btrfs has no room for data and metadata apart.
        btrfs)
            ((size_mb >= 256)) || small=(--mixed)
            mkfs.btrfs -q "${small[@]}" "$dir.img"
            ;;
    esac
}

mount_fs() {
    mkdir -p "$dir"
    case $fstype in
        tmpfs) mount -t tmpfs -o "size=${size_mb}M${options:+,$options}" icewell-test "$dir" ;;
        ramfs) mount -t ramfs ${options:+-o "$options"} icewell-test "$dir" ;;
        ext4 | xfs | btrfs)
            [[ ! -e $dir.img ]] || { echo "loopfs: $dir.img exists already" >&2; exit 1; }
            trap umount_fs ERR
            make_disk >/dev/null
            mount -t "$fstype" -o "loop${options:+,$options}" "$dir.img" "$dir"
            ;;
        *) usage ;;
    esac
}

umount_fs() {
    local tries=0
    while mountpoint -q "$dir"; do
        umount "$dir" 2>/dev/null && continue
        # Something killed a moment ago may still be letting go; what never does must not keep the tests.
        if ((++tries < 20)); then sleep 0.1; else umount -l "$dir"; fi
    done
    rm -f "$dir.img"
    rmdir "$dir" 2>/dev/null || true
}

((EUID == 0)) || { echo "loopfs: only root can mount" >&2; exit 1; }
case ${1:-}:$# in
    mount:4 | mount:5)
        fstype=$2 size_mb=$3 dir=$4 options=${5:-}
        mount_fs
        ;;
    umount:2)
        dir=$2
        umount_fs
        ;;
    *) usage ;;
esac
