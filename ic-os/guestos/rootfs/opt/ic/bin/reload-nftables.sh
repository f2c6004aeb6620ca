#!/bin/sh
# Loads the orchestrator's firewall rules. systemd ignores changes of the file while this runs, so it is loaded again
# until the loaded file is the current one.

set -eu

RULES=/run/ic-node/nftables-ruleset/nftables.conf

loaded=
until current=$(stat --format='%i %z' "$RULES") && [ "$loaded" = "$current" ]; do
    systemctl reload-or-restart nftables.service
    loaded=$current
done
