#!/bin/sh
# Makes the machine's SSH host keys on its first boot. They live in the config store, so every slot has the same.

set -eu

KEYS=/boot/config/ssh

[ -d "$KEYS" ] || mkdir -m 0700 "$KEYS"
for type in ed25519 ecdsa rsa; do
    key=$KEYS/ssh_host_${type}_key
    [ ! -s "$key" ] || continue
    rm -f "$key.new" "$key.new.pub"
    ssh-keygen -q -t "$type" -N '' -C '' -f "$key.new"
    sync "$key.new" "$key.new.pub"
    mv "$key.new.pub" "$key.pub"
    mv "$key.new" "$key"
done
sync "$KEYS" /boot/config
