#!/bin/sh
# Shows and changes which slot this machine boots: manageboot.sh --help. The work is done in ../lib/guestos.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.manageboot import main
sys.exit(main())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
