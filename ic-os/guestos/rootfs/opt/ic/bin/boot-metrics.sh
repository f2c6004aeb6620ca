#!/bin/sh
# Tells node_exporter what was booted: slot, boot state and version, as gauges with the value 1.

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

mkdir -p "$FOLDER"
cat >"$FOLDER/guestos_boot.prom.new" <<METRICS
# HELP guestos_boot_info What was booted.
# TYPE guestos_boot_info gauge
guestos_boot_info{slot="$slot",state="$state",version="$version"} 1
METRICS
mv "$FOLDER/guestos_boot.prom.new" "$FOLDER/guestos_boot.prom"
