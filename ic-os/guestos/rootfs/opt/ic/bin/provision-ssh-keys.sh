#!/bin/sh
# Replaces the SSH keys of an account by those on standard input. Runs guestos.ssh_keys.

exec /usr/bin/python3 -IB -c '
import os, sys
script = sys.argv.pop(1)
sys.path.insert(0, os.path.join(os.path.dirname(script), "..", "lib"))
from guestos.ssh_keys import provision_main
sys.exit(provision_main(script))
' "$(readlink -f -- "$0")" "$@"
