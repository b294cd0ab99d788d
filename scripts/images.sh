#!/usr/bin/env bash
# images.sh DEST: fills DEST with real images for the tests, with their SHA256SUMS. Does nothing when they are there
# already and no older than this script. Needs no root; DEST belongs to this script.
#
#   ext4.raw                 sparse; an ext4 file system of real files, text and programs
#   ext4.qcow2               the same disk, as a cloud keeps it
#   ext4-compressed.qcow2    and as a cloud uploads it
#   ipxe.*, grub-rescue-*    bootable images out of Debian packages
#   linux, initrd.gz         Debian's network installer
set -euo pipefail

(($# == 1)) || { echo "usage: $0 DEST" >&2; exit 2; }
dest=$(realpath -m "$1")

[[ ! $dest/SHA256SUMS -nt $0 ]] || exit 0

echo "images: making them in $1" >&2
mkdir -p "$(dirname "$dest")"
work=$(mktemp -d "$dest.XXXXXX")
trap 'rm -rf "$work"' EXIT
new=$work/images
mkdir "$new" "$work/tree"

# This machine's own files, at most 12 MiB of blocks of each kind so that they fit everywhere; no configuration,
# since a test image should hold no secrets.
for kind in bin share/doc share/man share/perl; do
    find "/usr/$kind" -type f -perm -o=r -printf '%s %p\0' |
        LC_ALL=C sort -z -k2 |
        awk 'BEGIN { RS = ORS = "\0" } (total += int($1 / 4096) + 1) <= 3072 { sub(/^[0-9]+ \//, ""); print }'
done |
    tar -C / -cf - --null --no-recursion -T - | tar -C "$work/tree" -xf -
# What neither compresses nor repeats, what is nothing but a hole, and a name in another script.
head -c 8M /dev/urandom >"$work/tree/random"
truncate -s 16M "$work/tree/hole"
ln -s random "$work/tree/Зображення"

truncate -s 96M "$new/ext4.raw"
mke2fs -q -t ext4 -b 4096 -m 0 -L icewell -d "$work/tree" "$new/ext4.raw"
e2fsck -fn "$new/ext4.raw" >/dev/null 2>&1

qemu-img convert -f raw -O qcow2 "$new/ext4.raw" "$new/ext4.qcow2"
qemu-img convert -c -f raw -O qcow2 "$new/ext4.raw" "$new/ext4-compressed.qcow2"

installer=(/usr/lib/debian-installer/images/*/amd64/text/debian-installer/amd64)
cp -L /usr/lib/ipxe/ipxe.{iso,lkrn,efi} /usr/lib/grub-rescue/grub-rescue-{cdrom.iso,usb.img,floppy.img} \
    "${installer[-1]}"/{linux,initrd.gz} "$new"

cd "$new"
chmod 644 -- *
sha256sum -- * >"$work/sums"
mv "$work/sums" SHA256SUMS
cd /

# Only a folder that this script filled before, or an empty one, is replaced.
if [[ -e $dest/SHA256SUMS ]]; then
    rm -rf "$dest"
fi
mv -T "$new" "$dest"
