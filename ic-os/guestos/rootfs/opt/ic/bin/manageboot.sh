#!/bin/sh
# Installs upgrades, and shows and changes the boot state; --help lists the actions. Runs guestos.manageboot.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.manageboot import main
sys.exit(main())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
