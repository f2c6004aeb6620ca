#!/bin/sh
# Tells node_exporter what was booted: slot, boot state and version, as gauges with the value 1; and the journal, where it
# is not what was expected.

set -eu

FOLDER=/run/node_exporter

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
    fallback) echo "<4>fell back to slot $slot: the other one could not be started, or was not confirmed" ;;
    damaged) echo "<4>the boot state was damaged: slot $slot was booted, the last one that was confirmed" ;;
esac

mkdir -p "$FOLDER"
cat >"$FOLDER/guestos_boot.prom.new" <<METRICS
# HELP guestos_boot_info What was booted.
# TYPE guestos_boot_info gauge
guestos_boot_info{slot="$slot",state="$state",version="$version"} 1
METRICS
mv "$FOLDER/guestos_boot.prom.new" "$FOLDER/guestos_boot.prom"
