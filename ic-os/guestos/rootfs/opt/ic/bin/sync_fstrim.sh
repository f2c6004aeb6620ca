#!/bin/sh
# Frees the unused blocks of the data volume on the host. The orchestrator calls it after it has removed the state of a
# subnet; fstrim.timer does the same for all file systems every day.

set -eu

script=$(readlink -f -- "$0")
[ "$(id -u)" -eq 0 ] || exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv[2])
from guestos import errors, privilege
try:
    privilege.become_root(sys.argv[1], [])
except errors.GuestError as error:
    sys.exit(f"sync_fstrim.sh: error: {error}")
' "$script" "$(dirname -- "$script")/../lib"
sync
fstrim /var/lib/ic/data
