#!/bin/sh
# Sets the host name: setup-hostname.sh [IPV6_ADDRESS]. Runs guestos.hostname.

exec /usr/bin/python3 -IB -c '
import sys
sys.path.insert(0, sys.argv.pop(1))
from guestos.hostname import main
sys.exit(main())
' "$(dirname -- "$(readlink -f -- "$0")")/../lib" "$@"
