#!/bin/sh
# Writes the configuration of the onchain observability adapter; --help lists the options. Runs guestos.adapter_config.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.adapter_config import observability
sys.exit(observability())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
