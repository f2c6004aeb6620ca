#!/bin/sh
# Installs upgrades, and shows and changes the boot state; --help lists the actions. Runs guestos.manageboot.

exec /usr/bin/python3 -IB -c '
import os, sys
script = sys.argv.pop(1)
sys.path.insert(0, os.path.join(os.path.dirname(script), "..", "lib"))
from guestos.manageboot import main
sys.exit(main(script=script))
' "$(readlink -f -- "$0")" "$@"
