# shellcheck shell=sh
# The volumes of the store: shell functions for setup-store.sh and monitor-expand-shared-data.sh, which source this file.

GROUP=store
MIB=1048576
GIB=1073741824

CRYPTO_BYTES=$GIB
BACKUP_MOST_BYTES=$((180000 * MIB))
DATA_LEAST_BYTES=$((4 * GIB))

# Prints a size of the volume group in bytes.
group_bytes() { # FIELD
    bytes=$(vgs --noheadings --nosuffix --units b --options "$1" "$GROUP")
    echo $((bytes)) # without blanks
}

least() { # NUMBER NUMBER
    echo $(($1 < $2 ? $1 : $2))
}

most() { # NUMBER NUMBER
    echo $(($1 > $2 ? $1 : $2))
}

make_volume() { # NAME BYTES
    lvcreate --quiet --yes --wipesignatures y --zero y --size "$2b" --name "$1" "$GROUP"
}

# Creates the volume group and its volumes with empty file systems. The data volume gets a part of the space; it is
# extended when it fills.
make_volumes() { # DEVICE
    pvcreate --quiet --yes "$1"
    vgcreate --quiet "$GROUP" "$1"
    size=$(group_bytes vg_size)
    quarter=$((size / 4))
    make_volume shared-crypto "$CRYPTO_BYTES"
    make_volume shared-backup "$(least "$quarter" "$BACKUP_MOST_BYTES")"
    free=$(group_bytes vg_free)
    make_volume shared-data "$(least "$(most "$quarter" "$DATA_LEAST_BYTES")" "$free")"
    for volume in shared-crypto shared-backup; do
        mkfs.ext4 -q -F -L "$volume" "/dev/$GROUP/$volume"
    done
    # The replica copies its state by reflinks. A label of xfs has at most 12 bytes.
    mkfs.xfs -q -f -m crc=1,reflink=1 -L shared-data "/dev/$GROUP/shared-data"
}
