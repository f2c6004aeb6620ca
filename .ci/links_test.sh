#!/usr/bin/env bash
# Tests that Bazel's links lead to its files on the machine itself, after the README's commands in the container.
#
# Usage: links_test.sh; the last line counts the tests.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

passed=0 failed=0
for file in bazel-bin/ic-os/guestos/dev/disk-img.tar bazel-out/stable-status.txt \
    bazel-testlogs/gitlab-ci/container/build_ic_test/test.log; do
    if [ -s "$file" ]; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$file"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s: no such file on this machine; %s leads to %s\n' "$file" "${file%%/*}" "$(readlink "${file%%/*}")"
    fi
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
