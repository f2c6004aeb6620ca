#!/usr/bin/env bash
# Builds the disk image of the GuestOS without Bazel. See --help.

set -euo pipefail

# shellcheck source=ic-os/guestos/scripts/python.sh
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/python.sh"
run_tool guestos_tools.disk_image "$@"
