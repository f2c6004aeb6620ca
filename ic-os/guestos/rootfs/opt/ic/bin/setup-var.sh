#!/bin/sh
# Opens the encrypted /var of the booted slot. On the slot's first boot it is made, as a copy of the /var that the root
# image holds.

set -eu
# shellcheck source=../lib/volumes.sh
. /opt/ic/lib/volumes.sh

DEVICE=/dev/guestos/var

# The note that var is being formatted is the slot's: that of one slot must not have the var of the other formatted, as
# after a power cut in the first boot of an upgrade.
while IFS='=' read -r key value; do
    [ "$key" != SLOT ] || NOTE=var_$value
done </run/guestos/boot

fill() {
    target=/run/guestos/var
    mkdir -p "$target"
    mount -t ext4 /dev/mapper/var_crypt "$target"
    cp --archive /var/. "$target"/
    umount "$target"
}

make_key
if is_new "$NOTE" "$DEVICE"; then
    begin_format "$NOTE"
    luks_format var "$DEVICE"
    luks_open var "$DEVICE"
    mkfs.ext4 -q -L var /dev/mapper/var_crypt
    fill
    end_format "$NOTE"
else
    luks_open var "$DEVICE" || fail "$DEVICE is neither blank nor opened by $KEY_FILE; it is left as it is"
fi
