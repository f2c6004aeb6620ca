#!/usr/bin/env bash
# Runs `bazel [OPTION…] build …`, and says then where the disk images are that it built, and how to boot one.
# container-run.sh calls it at a terminal.

set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
events=$(mktemp)
trap 'rm -f "$events"' EXIT

before=()
until [ "$1" = build ]; do
    before+=("$1")
    shift
done
"${before[@]}" build "--build_event_json_file=$events" "${@:2}"
! command -v python3 >/dev/null || python3 "$here/built_images.py" "$events" >&2
