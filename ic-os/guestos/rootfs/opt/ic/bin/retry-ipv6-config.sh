#!/bin/sh
# Configures the network interface again while it has no IPv6 address, as after router advertisements that were lost at
# boot. With an address, gives it to setup-hostname.sh, which derives the host name from it if none is configured.
#
# Waits longer after each try, since a new configuration also interrupts IPv4. An address is seldom lost, so it is looked for
# less often than at first.

set -u

FIRST_DELAY=10
MAX_DELAY=320
SETTLED_DELAY=60
CLASS_NET=/sys/class/net

# Prints the first hardware interface, the one that generate-network-config.service configures.
interface() {
    for path in "$CLASS_NET"/*; do
        case $(readlink -f "$path") in
            */devices/virtual/*) ;;
            *) basename "$path" && return ;;
        esac
    done
    return 1
}

# Prints a lasting address of an interface: a global one, or else a site-local one, as networks of QEMU have.
address_of() {
    for scope in global site; do
        ip -6 -oneline address show dev "$1" scope "$scope" -tentative -dadfailed -deprecated -temporary 2>/dev/null
    done | sed -n 's|.* inet6 \([0-9a-f:]*\)/.*|\1|p' | head -n 1
}

named=
delay=$FIRST_DELAY
pause=$FIRST_DELAY
while sleep "$pause"; do
    name=$(interface) || continue
    address=$(address_of "$name")
    if [ -n "$address" ]; then
        [ -n "$named" ] || /opt/ic/bin/setup-hostname.sh "$address"
        named=yes
        delay=$FIRST_DELAY
        pause=$SETTLED_DELAY
    else
        echo "$name has no IPv6 address: configuring it again"
        networkctl reconfigure "$name"
        delay=$((delay * 2 < MAX_DELAY ? delay * 2 : MAX_DELAY))
        pause=$delay
    fi
done
