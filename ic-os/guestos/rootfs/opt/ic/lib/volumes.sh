# shellcheck shell=sh
# Encrypted volumes: shell functions for setup-var.sh and setup-store.sh, which source this file.
#
# A volume is formatted once, and the power may fail at any time. So a marker file is created in the config store before
# the first byte is written, and removed when all file systems of the volume exist. A volume is formatted if it is blank
# or its marker exists. Every other volume is opened; if that fails, it is left unchanged.

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

make_key() {
    [ ! -s "$KEY_FILE" ] || return 0
    (umask 077 && dd if=/dev/urandom of="$KEY_FILE.new" bs=64 count=1 status=none)
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
