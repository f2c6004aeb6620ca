#!/bin/sh
# Opens the store, an encrypted partition with LVM volumes that both slots share. On the machine's first boot it creates
# the partition, in all space after the last one, and in it the volumes and their file systems. Later boots take the
# volumes as they are: a data volume that an older version formatted with ext4 stays that.

set -eu
# shellcheck source=../lib/volumes.sh
. /opt/ic/lib/volumes.sh
# shellcheck source=../lib/store.sh
. /opt/ic/lib/store.sh

DEVICE=/dev/guestos/store

# Adds the store to the partition table, with its number and GUID in the layout.
make_partition() {
    while IFS='=' read -r key value; do
        [ "$key" != DISK ] || disk=$value
    done </run/guestos/boot
    while read -r row_number name row_guid; do
        [ "$name" != store ] || number=$row_number guid=$row_guid
    done </run/guestos/layout
    case $disk in
        *[0-9]) partition=${disk}p$number ;;
        *) partition=$disk$number ;;
    esac
    # Before the partition is created: udev reads this file on the partition's add event.
    echo GUESTOS_PARTITION=store >"/run/guestos/partitions/$partition"
    if [ ! -e "/sys/class/block/$partition" ]; then
        # The disk may be larger than the image: move the backup partition table to its end.
        sfdisk --no-reread --no-tell-kernel --relocate gpt-bak-std "/dev/$disk" >/dev/null
        echo "type=L,uuid=$guid,name=store" |
            sfdisk --append --no-reread --no-tell-kernel --wipe never --wipe-partitions never "/dev/$disk" >/dev/null
        partx --add --nr "$number" "/dev/$disk"
        say "created partition $number"
    fi
    udevadm trigger --settle --action=add "/sys/class/block/$partition"
}

find_key store
[ -e "$DEVICE" ] || make_partition
if is_new store "$DEVICE"; then
    begin_format store
    luks_format store "$DEVICE"
    luks_open store "$DEVICE"
    make_volumes /dev/mapper/store_crypt
    end_format store
else
    luks_open store "$DEVICE" || fail "$DEVICE is not blank, and cannot be opened with $KEY_FILE; it is left unchanged"
    vgchange --quiet --activate y "$GROUP"
fi
lock_key
