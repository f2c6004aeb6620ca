#!/bin/sh
# Writes a metric for node_exporter with the booted slot, boot reason and version as labels, and logs a warning if the
# boot loader did not boot the slot that it should.

set -eu

FOLDER=/run/node_exporter/collector_textfile

read -r arguments </proc/cmdline
slot='' state=''
for argument in $arguments; do
    case $argument in
        dfinity.system=*) slot=${argument#*=} ;;
        dfinity.boot_state=*) state=${argument#*=} ;;
    esac
done
read -r version </opt/ic/share/version.txt

case $state in
    fallback) echo "<4>fell back to slot $slot: the other slot could not be started, or was not confirmed" ;;
    damaged) echo "<4>the boot state was damaged: booted slot $slot, which was confirmed last" ;;
esac

mkdir -p "$FOLDER"
cat >"$FOLDER/guestos_boot.prom.new" <<METRICS
# HELP guestos_boot_info Slot, boot reason and version of the running system.
# TYPE guestos_boot_info gauge
guestos_boot_info{slot="$slot",state="$state",version="$version"} 1
METRICS
mv "$FOLDER/guestos_boot.prom.new" "$FOLDER/guestos_boot.prom"
