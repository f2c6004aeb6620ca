#!/bin/sh
# Writes the configuration of a Bitcoin adapter; --help lists the options. Runs guestos.adapter_config.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.adapter_config import bitcoin
sys.exit(bitcoin())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
