#!/bin/sh
# Opens the encrypted /var of the booted slot. On the slot's first boot it is formatted, and filled with a copy of the
# /var of the root image.

set -eu
# shellcheck source=../lib/volumes.sh
. /opt/ic/lib/volumes.sh

DEVICE=/dev/guestos/var

# Each slot has a marker of its own. With a common one, a power cut in the first boot of an upgrade would let the next
# boot, of the other slot, format the /var of that slot.
while IFS='=' read -r key value; do
    [ "$key" != SLOT ] || MARKER=var_$value
done </run/guestos/boot

fill() {
    target=/run/guestos/var
    mkdir -p "$target"
    mount -t ext4 /dev/mapper/var_crypt "$target"
    cp --archive /var/. "$target"/
    umount "$target"
}

find_key var
if is_new "$MARKER" "$DEVICE"; then
    begin_format "$MARKER"
    luks_format var "$DEVICE"
    luks_open var "$DEVICE"
    mkfs.ext4 -q -L var /dev/mapper/var_crypt
    fill
    end_format "$MARKER"
else
    luks_open var "$DEVICE" || fail "$DEVICE is not blank, and cannot be opened with $KEY_FILE; it is left unchanged"
fi
