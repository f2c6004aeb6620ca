#!/bin/sh
# Saves the machine-id, which the initramfs generated on the first boot, in the config store.

set -eu

STORED=/boot/config/machine-id

cp /etc/machine-id "$STORED.new"
sync "$STORED.new"
mv "$STORED.new" "$STORED"
sync /boot/config
