#!/usr/bin/env bash
# Writes a medium with the configuration of a new machine. See --help.

set -euo pipefail

# shellcheck source=ic-os/guestos/scripts/python.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/python.sh"
run_tool guestos_tools.bootstrap_media "$@"
