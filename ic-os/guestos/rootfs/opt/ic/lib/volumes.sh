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
        *) fail "$SYSTEM names no source of disk keys that this system has: '$source'" ;;
    esac
}

# Asks the program of the image for the key, which is kept in memory until this script ends.
ask_for_key() { # NAME
    [ -n "$KEY_PROGRAM" ] || fail "the image has no program disk-key, and $SYSTEM demands one"
    mkdir -p "$HEADERS"
    KEY_FILE=$HEADERS/$1.key
    trap 'rm -f "$KEY_FILE"' EXIT
    (umask 077 && "$KEY_PROGRAM" "$1" >"$KEY_FILE") || fail "$KEY_PROGRAM has no key of $1, which is left unchanged"
    size=$(stat -c %s "$KEY_FILE")
    [ "$size" = "$KEY_BYTES" ] ||
        fail "$KEY_PROGRAM wrote a key of $1 with $size bytes instead of $KEY_BYTES; the volume is left unchanged"
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
