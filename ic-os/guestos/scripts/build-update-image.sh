#!/usr/bin/env bash
# Builds the upgrade image of the GuestOS without Bazel, compressed. See --help.

set -euo pipefail

# shellcheck source=ic-os/guestos/scripts/python.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/python.sh"
run_tool guestos_tools.compressed_upgrade_image "$@"
