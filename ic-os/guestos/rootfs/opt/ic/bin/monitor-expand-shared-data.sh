#!/bin/sh
# Extends the data volume of the store if it is nearly full, and its file system with it, as long as the volume group has
# space. A volume is never reduced.

set -eu
# shellcheck source=../lib/store.sh
. "$(dirname -- "$(readlink -f -- "$0")")/../lib/store.sh"

VOLUME=/dev/$GROUP/shared-data
FOLDER=/var/lib/ic/data
LEAST_PERCENT=20
STEP_LEAST_BYTES=$GIB
STEP_MOST_BYTES=$((256 * GIB))

# In the runtime directory of the service: the message is logged once after each boot.
REPORTED=${RUNTIME_DIRECTORY:-/run/monitor-expand-shared-data}/full

is_filling() {
    sizes=$(df --block-size=1 --output=size,avail "$FOLDER") || exit 1
    # shellcheck disable=SC2086  # two titles and two numbers
    set -- $sizes
    [ $(($4 * 100 / $3)) -lt "$LEAST_PERCENT" ]
}

# Extends the file system to the size of its volume.
grow_file_system() {
    type=$(findmnt --noheadings --output FSTYPE --mountpoint "$FOLDER")
    case $type in
        xfs) xfs_growfs "$FOLDER" ;;
        ext4) resize2fs "$VOLUME" ;;
        *)
            echo "<3>$FOLDER: cannot extend a file system of type '$type', only xfs and ext4" >&2
            return 1
            ;;
    esac >/dev/null
}

# Extends the volume by a tenth of the volume group, within limits.
extend() { # FREE_BYTES
    size=$(group_bytes vg_size)
    step=$(most $((size / 10)) "$STEP_LEAST_BYTES")
    step=$(least "$(least "$step" "$STEP_MOST_BYTES")" "$1")
    lvextend --quiet --size "+${step}b" "$VOLUME"
    grow_file_system
    echo "<5>extended $FOLDER by $((step / MIB)) MiB; $((($1 - step) / MIB)) MiB are left in the volume group $GROUP"
}

is_filling || exit 0
# If the power failed after the volume was extended, only its file system is behind.
grow_file_system
while is_filling; do
    free=$(group_bytes vg_free)
    if [ "$free" -eq 0 ]; then
        [ -e "$REPORTED" ] || echo "<4>$FOLDER is nearly full, and the volume group $GROUP has no space left"
        : >"$REPORTED"
        break
    fi
    extend "$free"
done
