#!/usr/bin/env bash
# Downloads release binaries and images of a revision. See --help.

set -euo pipefail

# shellcheck source=ic-os/guestos/scripts/python.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/python.sh"
run_tool guestos_tools.artifacts "$@"
