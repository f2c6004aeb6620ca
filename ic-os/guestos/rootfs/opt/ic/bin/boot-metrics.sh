#!/bin/sh
# Writes metrics for node_exporter: the booted slot, boot reason and version as labels of one, and whether the node has an
# operator's key. Logs a warning if the boot loader did not boot the slot that it should.
#
# boot-metrics.sh [ROOT]: ROOT is put before the paths; another one in tests.

set -eu

ROOT=${1:-}
FOLDER=$ROOT/run/node_exporter/collector_textfile

# Writes a file with the metric NAME: metric NAME HELP SAMPLE.
metric() {
    printf '# HELP %s %s\n# TYPE %s gauge\n%s\n' "$1" "$2" "$1" "$3" >"$FOLDER/$1.prom.new"
    mv "$FOLDER/$1.prom.new" "$FOLDER/$1.prom"
}

slot='' state=''
while IFS='=' read -r key value; do
    case $key in
        SLOT) slot=$value ;;
        BOOT_STATE) state=$value ;;
    esac
done <"$ROOT/run/guestos/boot"
read -r version <"$ROOT/opt/ic/share/version.txt"

case $state in
    fallback) echo "<4>fell back to slot $slot: the other slot could not be started, or was not confirmed" ;;
    damaged) echo "<4>the boot state was damaged: booted slot $slot, which was confirmed last" ;;
esac

mkdir -p "$FOLDER"
metric guestos_boot_info 'Slot, boot reason and version of the running system.' \
    "guestos_boot_info{slot=\"$slot\",state=\"$state\",version=\"$version\"} 1"

exists=0
[ ! -f "$ROOT/var/lib/ic/data/node_operator_private_key.pem" ] || exists=1
metric guestos_node_operator_private_key_exists \
    'Existence of a Node Operator private key indicates the node deployment method' \
    "guestos_node_operator_private_key_exists $exists"
