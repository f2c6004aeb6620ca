#!/bin/sh
# Generates the key and the self-signed certificate of node_exporter on the machine's first boot, and copies them, with
# the configuration, to where the service may read them. They are kept in the config store, so both slots use the same.

set -eu

KEPT=${1:-/boot/config/node_exporter}
USED=${2:-/run/ic-node/etc/node_exporter}
CONFIGURATION=${3:-/etc/node_exporter/web.yml}
NAME=node_exporter

generate() {
    mkdir -p "$KEPT"
    chmod 0700 "$KEPT"
    rm -f "$KEPT/$NAME.key.new" "$KEPT/$NAME.crt.new"
    (
        umask 077
        openssl req -batch -x509 -newkey rsa:2048 -noenc -sha256 -days 3650 -subj /CN=localhost \
            -addext subjectAltName=DNS:localhost -keyout "$KEPT/$NAME.key.new" -out "$KEPT/$NAME.crt.new"
    )
    sync "$KEPT/$NAME.key.new" "$KEPT/$NAME.crt.new"
    mv "$KEPT/$NAME.key.new" "$KEPT/$NAME.key"
    mv "$KEPT/$NAME.crt.new" "$KEPT/$NAME.crt"
    sync "$KEPT" "$(dirname -- "$KEPT")"
}

# The certificate comes last, so where it is, its key is, too.
[ -s "$KEPT/$NAME.crt" ] || generate
install -m 0644 "$KEPT/$NAME.crt" "$USED/$NAME.crt"
install -m 0640 -g "$NAME" "$KEPT/$NAME.key" "$USED/$NAME.key"
# If the service is started again, both are the same file.
[ -e "$USED/web.yml" ] || install -m 0644 "$CONFIGURATION" "$USED/web.yml"
