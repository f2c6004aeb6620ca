#!/usr/bin/env bash
# Runs a command in the container that holds the whole build environment. See --help.

set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
workspace=$(cd "$here/../.." && pwd -P)

usage() {
    cat <<'EOF'
usage: container-run.sh [OPTION…] [--] [COMMAND [ARGUMENT…]]

Runs COMMAND (default: a shell) in a container that holds the whole build environment. The checkout stands there
under its own path, and so do /tmp and the current folder. Bazel's caches and its server are kept from call to call.

The first call makes the container's image from Debian's packages, which takes a few minutes; as root on Debian it
also installs what it needs for that. The image is defined by image.sh, beside this script.

options:
  -h, --help        this text
  --backend=NAME    podman, bubblewrap (namespaces without a container engine), or auto (default): podman where it
                    works, else bubblewrap
  --env=NAME[=VAL]  hand an environment variable to COMMAND; CI, TERM and proxy settings are handed on anyway
  --mount=FOLDER    show one more folder of this machine, under its own path; may be repeated
  --prune           remove images, and their containers, of other definitions than the current one
  --stop            stop this checkout's Bazel server and container

environment:
  ICOS_CONTAINER_CACHE   folder for images and caches (default: ~/.cache/rules_icos)
  ICOS_DEBIAN_MIRROR     where Debian's packages come from (default: http://deb.debian.org/debian)
  ICOS_IMAGE_DEFINITION  another definition instead of image.sh

exit status: that of COMMAND; 125 when the container could not be set up or started.
EOF
}

say() { printf 'container-run: %s\n' "$*" >&2; }

fail() {
    printf 'container-run: error: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '  %s\n' "$@" >&2
    exit 125
}

# shellcheck source=gitlab-ci/container/make-image.sh
. "$here/make-image.sh"
# shellcheck source=gitlab-ci/container/supervise.sh
. "$here/supervise.sh"
# shellcheck source=gitlab-ci/container/backend-podman.sh
. "$here/backend-podman.sh"
# shellcheck source=gitlab-ci/container/backend-bubblewrap.sh
. "$here/backend-bubblewrap.sh"

parse_options() {
    backend=auto action=run environment=() mounts=()
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help)
                usage
                exit 0
                ;;
            --backend=auto | --backend=podman | --backend=bubblewrap) backend=${1#*=} ;;
            --backend=*) fail "unknown backend '${1#*=}'" "give podman, bubblewrap or auto" ;;
            --env=?*) add_environment "${1#*=}" ;;
            --mount=?*)
                [ -d "${1#*=}" ] || fail "--mount: ${1#*=} is not a folder"
                mounts+=("$(cd "${1#*=}" && pwd -P)")
                ;;
            --prune) action=prune ;;
            --stop) action=stop ;;
            --)
                shift
                break
                ;;
            -*) fail "unknown option '$1'" "container-run.sh --help lists the options" ;;
            *) break ;;
        esac
        shift
    done
    command=("$@")
    [ ${#command[@]} -gt 0 ] || command=(bash)
}

# Takes NAME=VALUE, or NAME for a variable of this environment.
add_environment() {
    case $1 in
        *=*) environment+=("$1") ;;
        *) [ -z "${!1+set}" ] || environment+=("$1=${!1}") ;;
    esac
}

# What COMMAND finds in its environment: nothing of the host's but this.
compose_environment() {
    local name
    for name in CI TERM COLORTERM NO_COLOR {http,https,no,all}_proxy {HTTP,HTTPS,NO,ALL}_PROXY; do
        add_environment "$name"
    done
    environment+=(HOME="$HOME" USER="$(id -un)" LANG=C.UTF-8)
    environment+=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
}

prepare_cache() {
    : "${HOME:?must be set}"
    cache=${ICOS_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rules_icos}
    mkdir -p "$cache/images" "$cache/home" 2>/dev/null && [ -w "$cache/images" ] && [ -w "$cache/home" ] ||
        fail "the cache folder $cache cannot be used" "make it writable, or set ICOS_CONTAINER_CACHE to another one"
    cache=$(cd "$cache" && pwd -P)
}

# The current folder where the container shows it, else the checkout.
working_directory() {
    local shown
    for shown in "$workspace" /tmp /var/tmp ${mounts[@]+"${mounts[@]}"}; do
        case $PWD/ in
            "$shown"/*)
                echo "$PWD"
                return
                ;;
        esac
    done
    echo "$workspace"
}

# Chooses a backend once for each image, since a probe starts a container; prints its name.
choose_backend() {
    local note=$image/backend chosen
    if [ "$backend" != auto ]; then
        echo "$backend"
    elif [ -s "$note" ]; then
        cat "$note"
    else
        chosen=podman
        podman_works || chosen=bubblewrap
        echo "$chosen" | tee "$note"
    fi
}

main() {
    parse_options "$@"
    prepare_cache
    find_image
    if [ "$action" = prune ]; then
        podman_prune
        prune_images
        exit 0
    fi
    [ "$action" != stop ] || [ -e "$image/ready" ] || exit 0
    make_image
    backend=$(choose_backend)
    compose_environment
    if [ "$action" = stop ]; then
        "${backend}_stop"
        exit 0
    fi
    cd "$(working_directory)"
    "${backend}_run" "${command[@]}"
}

main "$@"
