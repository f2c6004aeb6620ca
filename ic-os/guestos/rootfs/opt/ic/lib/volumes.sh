# shellcheck shell=sh
# Encrypted volumes: shell functions for setup-var.sh and setup-store.sh, which source this file.
#
# A volume is formatted once in its life, and a power cut may come at any time. So what is about to be formatted is
# noted in the config store before the first byte is written, and the note goes away when all is done. A volume is
# formatted if it is blank or has such a note; anything else is opened, and where that fails it is left as it is.

KEY_FILE=/boot/config/store.keyfile
NOTES=/boot/config/formatting

say() {
    echo "$*"
}

fail() {
    echo "<3>$*" >&2
    exit 1
}

# Makes the names and contents in a directory of the config store survive a power cut.
sync_folder() { # DIRECTORY
    sync "$1"
}

make_key() {
    [ ! -s "$KEY_FILE" ] || return 0
    (umask 077 && dd if=/dev/urandom of="$KEY_FILE.new" bs=64 count=1 status=none)
    sync "$KEY_FILE.new"
    mv "$KEY_FILE.new" "$KEY_FILE"
    sync_folder /boot/config
    say "made a new key for the encrypted volumes"
}

is_blank() { # DEVICE
    cmp --quiet --bytes=1048576 "$1" /dev/zero
}

# Whether a volume is to be formatted.
is_new() { # NAME DEVICE
    [ -e "$NOTES/$1" ] || is_blank "$2"
}

begin_format() { # NAME
    mkdir -p "$NOTES"
    : >"$NOTES/$1"
    sync_folder "$NOTES"
    sync_folder /boot/config
    say "formatting $1"
}

end_format() { # NAME
    sync
    rm "$NOTES/$1"
    sync_folder "$NOTES"
    say "formatted $1"
}

# The key is random over all of its length: deriving another from it slowly would cost time and gain nothing.
luks_format() { # NAME DEVICE
    cryptsetup luksFormat --batch-mode --type luks2 --cipher aes-xts-plain64 --key-size 512 --hash sha256 \
        --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --label "$1" --key-file "$KEY_FILE" "$2"
}

luks_open() { # NAME DEVICE
    cryptsetup open --type luks2 --allow-discards --key-file "$KEY_FILE" "$2" "$1"_crypt
}
