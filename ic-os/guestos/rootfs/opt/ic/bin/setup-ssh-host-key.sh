#!/bin/sh
# Generates the machine's SSH host key on its first boot. The key is in the config store, so both slots use the same.

set -eu

KEYS=/boot/config/ssh
KEY=$KEYS/ssh_host_ed25519_key

[ -d "$KEYS" ] || mkdir -m 0700 "$KEYS"
rm -f "$KEY.new" "$KEY.new.pub"
ssh-keygen -q -t ed25519 -N '' -C '' -f "$KEY.new"
sync "$KEY.new" "$KEY.new.pub"
mv "$KEY.new.pub" "$KEY.pub"
mv "$KEY.new" "$KEY"
sync "$KEYS" /boot/config
