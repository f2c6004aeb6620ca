# shellcheck shell=bash
# Runs the tools with a Python of this machine. Sourced by the scripts beside it.

workspace=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../../.." && pwd -P)
guestos=$workspace/ic-os/guestos

# Prints the path of a Python that is new enough, the default one first.
find_python() {
    local name
    for name in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$name"
            return
        fi
    done
    echo "${0##*/}: error: there is no Python 3.11 or newer here;" \
        "install one, or let $workspace/gitlab-ci/container/container-run.sh run this script" >&2
    return 1
}

# Usage: run_tool MODULE ARGUMENT…; takes the place of the calling script.
run_tool() {
    local python
    python=$(find_python) || exit 2
    # Nothing of the current folder or of the user's own packages is imported, and nothing is written to the checkout.
    PYTHONPATH=$workspace:$guestos/tools:$guestos/rootfs/opt/ic/lib exec "$python" -B -P -s -m "$@"
}
