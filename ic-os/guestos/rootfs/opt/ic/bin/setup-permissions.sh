#!/bin/sh
# Sets the owners and modes of the node's data. Runs guestos.permissions.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.permissions import main
sys.exit(main())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
