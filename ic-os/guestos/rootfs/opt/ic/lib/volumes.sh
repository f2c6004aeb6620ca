# shellcheck shell=sh
# Encrypted volumes: shell functions for setup-var.sh and setup-store.sh, which source this file.
#
# A volume is formatted once, and the power may fail at any time. So a marker file is created in the config store before
# the first byte is written, and removed when all file systems of the volume exist. A volume is formatted if it is blank
# or its marker exists. Every other volume is opened; if that fails, it is left unchanged.

SYSTEM=/opt/ic/share/system.json
KEY_PROGRAM=
[ ! -x /opt/ic/lib/disk-key ] || KEY_PROGRAM=/opt/ic/lib/disk-key
KEY_BYTES=64
KEY_FILE=/boot/config/store.keyfile
MARKERS=/boot/config/formatting
HEADERS=/run/guestos/luks
COPY_HEADER=/opt/ic/bin/copy-luks-header.py

# Of keys that a TPM has sealed.
TPM=/dev/tpmrm0
PCR_11=/sys/class/tpm/tpm0/pcr-sha256/11
PCR_EXTEND=/usr/lib/systemd/systemd-pcrextend
PCR_SIGNATURE=/run/systemd/tpm2-pcr-signature.json
PCR_PUBLIC_KEY=/run/systemd/tpm2-pcr-public-key.pem
SEALED_KEY=/boot/config/disk-key.cred
PARTITIONS=/run/guestos/partitions
DEVICES=/dev

say() {
    echo "$*"
}

fail() {
    echo "<3>$*" >&2
    exit 1
}

# Fsyncs a directory of the config store.
sync_folder() { # DIRECTORY
    sync "$1"
}

# Finds the key of a volume by the source that the image names; sets KEY_FILE. doc/Trust.adoc has the sources.
find_key() { # NAME
    source=$(sed -n 's/.*"disk_keys": *"\([a-z]*\)".*/\1/p' "$SYSTEM")
    case $source in
        clear) make_key ;;
        program) ask_for_key "$1" ;;
        tpm) unseal_key "$1" ;;
        *) fail "$SYSTEM names no source of disk keys that this system has: '$source'" ;;
    esac
}

# Sets KEY_FILE to a file in memory, which is removed when this script ends.
keep_key_in_memory() { # NAME
    mkdir -p "$HEADERS"
    KEY_FILE=$HEADERS/$1.key
    trap 'rm -f "$KEY_FILE"' EXIT
}

# Asks the program of the image for the key.
ask_for_key() { # NAME
    [ -n "$KEY_PROGRAM" ] || fail "the image has no program disk-key, and $SYSTEM demands one"
    keep_key_in_memory "$1"
    (umask 077 && "$KEY_PROGRAM" "$1" >"$KEY_FILE") || fail "$KEY_PROGRAM has no key of $1, which is left unchanged"
    check_key_size "$KEY_PROGRAM" "$1"
}

check_key_size() { # SOURCE NAME
    size=$(stat -c %s "$KEY_FILE")
    [ "$size" = "$KEY_BYTES" ] || fail "$1 gave a key of $2 with $size bytes instead of $KEY_BYTES; $2 is left unchanged"
}

make_key() {
    say "the key of the encrypted volumes is in the clear on this disk"
    [ ! -s "$KEY_FILE" ] || return 0
    (umask 077 && dd if=/dev/urandom of="$KEY_FILE.new" bs="$KEY_BYTES" count=1 status=none)
    sync "$KEY_FILE.new"
    mv "$KEY_FILE.new" "$KEY_FILE"
    sync_folder /boot/config
    say "created a new key for the encrypted volumes"
}

# Takes the key that the TPM of this machine has sealed. A machine on which no volume is formatted makes one.
unseal_key() { # NAME
    [ -e "$TPM" ] || fail "this machine has no TPM 2, by which the key of $1 is sealed, and $1 is left unchanged: add the TPM"
    for file in "$PCR_SIGNATURE" "$PCR_PUBLIC_KEY"; do
        [ -s "$file" ] || fail "$file is missing, and $1 is left unchanged: start an image in own-key mode with a pcr_key"
    done
    keep_key_in_memory "$1"
    if [ -e "$SEALED_KEY" ]; then
        open_sealed "$SEALED_KEY" "$1"
    else
        seal_new_key "$1"
    fi
}

# Seals a new key to this machine's TPM, the certificates that its firmware trusts (PCR 7), and images with signatures by the
# PCR key (PCR 11). What was sealed is opened before it is kept: otherwise a volume would be formatted that never opens again.
seal_new_key() { # NAME
    find_formatted
    [ -z "$formatted" ] ||
        fail "$SEALED_KEY is missing, and only its key opens$formatted; $1 is left unchanged: restore the file, or install" \
            "the machine anew"
    (umask 077 && dd if=/dev/urandom of="$KEY_FILE" bs="$KEY_BYTES" count=1 status=none)
    systemd-creds encrypt --name=disk-key --with-key=tpm2-with-public-key --tpm2-pcrs=7 \
        --tpm2-public-key="$PCR_PUBLIC_KEY" --tpm2-public-key-pcrs=11 "$KEY_FILE" - >"$SEALED_KEY.new" ||
        fail "the TPM cannot seal a key, and $1 is left unchanged"
    open_sealed "$SEALED_KEY.new" "$1"
    sync "$SEALED_KEY.new"
    mv "$SEALED_KEY.new" "$SEALED_KEY"
    sync_folder "${SEALED_KEY%/*}"
    say "the TPM has sealed a new key for the encrypted volumes"
}

# Writes a key that the TPM has sealed to KEY_FILE. Credentials of other kinds, which need no TPM, are refused: the file
# begins with the kind, CRED_AES256_GCM_BY_TPM2_HMAC_WITH_PK of systemd's creds-util.h, in base64.
open_sealed() { # FILE NAME
    read -r kind <"$1" || :
    case $kind in
        +vfrk0HjQSyhpDb5Wik2*) ;;
        *) fail "$1 is not a key that a TPM has sealed, and $2 is left unchanged: restore the file, or install the machine anew" ;;
    esac
    (umask 077 && systemd-creds decrypt --name=disk-key --tpm2-signature="$PCR_SIGNATURE" "$1" - >"$KEY_FILE") ||
        fail "the TPM does not open $1, and $2 is left unchanged: it opens on the machine that made it alone, with the same" \
            "certificates in the firmware and Secure Boot as then, under images that are signed by the same PCR key"
    check_key_size "$1" "$2"
}

# Sets `formatted` to the names of the volumes of this machine that have been formatted, each after a space.
find_formatted() {
    formatted=
    for path in "$PARTITIONS"/*; do
        [ -e "$path" ] || continue
        name=$(sed -n 's/^GUESTOS_PARTITION=//p' "$path")
        case $name in
            [AB]_var) marker=var_${name%_var} ;;
            store) marker=store ;;
            *) continue ;;
        esac
        is_new "$marker" "$DEVICES/${path##*/}" || formatted="$formatted $name"
    done
}

# After the last volume: extends PCR 11, so that the TPM opens the key for no program until the next boot.
lock_key() {
    [ "$source" = tpm ] || return 0
    before=$(cat "$PCR_11")
    "$PCR_EXTEND" volumes-opened || fail "PCR 11 cannot be extended: programs could read the key of the encrypted volumes"
    # Without a measured image in the variables of the firmware it does nothing, and says no error.
    [ "$(cat "$PCR_11")" != "$before" ] ||
        fail "PCR 11 was not extended: programs could read the key of the encrypted volumes"
}

is_blank() { # DEVICE
    cmp --quiet --bytes=1048576 "$1" /dev/zero
}

# Returns whether a volume has to be formatted.
is_new() { # NAME DEVICE
    [ -e "$MARKERS/$1" ] || is_blank "$2"
}

begin_format() { # NAME
    mkdir -p "$MARKERS"
    : >"$MARKERS/$1"
    sync_folder "$MARKERS"
    sync_folder /boot/config
    say "formatting $1"
}

end_format() { # NAME
    sync
    rm "$MARKERS/$1"
    sync_folder "$MARKERS"
    say "formatted $1"
}

# The key is 64 random bytes, so it needs no slow key derivation: the minimum number of iterations is enough.
luks_format() { # NAME DEVICE
    cryptsetup luksFormat --batch-mode --type luks2 --cipher aes-xts-plain64 --key-size 512 --hash sha256 \
        --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --label "$1" --key-file "$KEY_FILE" "$2"
}

# Opens a volume by a copy of its header, which was checked; luks_header.py has the reasons.
luks_open() { # NAME DEVICE
    mkdir -p "$HEADERS"
    "$COPY_HEADER" "$2" "$HEADERS/$1" || return 1
    cryptsetup open --type luks2 --header "$HEADERS/$1" --allow-discards --key-file "$KEY_FILE" "$2" "$1"_crypt || {
        rm "$HEADERS/$1"
        return 1
    }
    rm "$HEADERS/$1"
}
