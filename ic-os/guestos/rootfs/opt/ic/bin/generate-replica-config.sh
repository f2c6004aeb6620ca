#!/bin/sh
# Generates the configuration of the replica from a template; --help lists the options. Runs guestos.replica_config.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.replica_config import main
sys.exit(main())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
