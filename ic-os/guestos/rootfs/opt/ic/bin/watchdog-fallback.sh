#!/bin/sh
# Loads the kernel's software watchdog on a machine without a hardware watchdog, or whose kernel has no driver for it, such
# as that of Ubuntu for QEMU's i6300esb. It resets a machine whose user space hangs, but not one whose kernel does.

set -eu

DEVICE=${1:-/dev/watchdog0}

# The events of the devices that were there at boot: a driver may be about to be loaded.
udevadm settle --timeout=60 || true
[ ! -e "$DEVICE" ] || exit 0
if modprobe softdog; then
    echo "no hardware watchdog: using the software watchdog"
else
    echo "<4>there is no watchdog: a machine that hangs is not reset"
fi
