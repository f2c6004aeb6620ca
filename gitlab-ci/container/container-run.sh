#!/usr/bin/env bash
# Runs a command in the container that holds the whole build environment. See --help.

set -euo pipefail

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
checkout=$(cd "$here/../.." && pwd -P)

usage() {
    cat <<'EOF'
usage: container-run.sh [OPTION…] [--] [COMMAND [ARGUMENT…]]

Runs COMMAND (default: a shell) in a container that holds the whole build environment. The checkout is there under
its own path, and so are /tmp and the Bazel module of the current folder, wherever that is. Bazel's caches and its
server are kept from call to call. What Bazel's links such as bazel-bin lead to has the same path in the container and
on this machine. At a terminal, the last words of `bazel build` say where the images are that it built.

The first call makes the container's image from Debian's packages, which takes a few minutes; as root on Debian it
also installs what it needs for that. The image is defined by image.sh, beside this script.

options:
  -h, --help        this text
  -c, --cache-dir=FOLDER
                    folder for images and caches, as ICOS_CONTAINER_CACHE
  -f, --full        accepted for scripts that give it; there is one image, which has everything
  --backend=NAME    podman, bubblewrap (namespaces without a container engine), or auto (default): podman where it
                    works, else bubblewrap
  --env=NAME[=VAL]  hand an environment variable to COMMAND; CI, TERM and proxy settings are handed on anyway
  --mount=FOLDER    show one more folder of this machine, under its own path; may be repeated. With Podman a call with
                    other folders ends the checkout's container with its Bazel server, and is refused while more
                    runs there
  --prune           remove images, and their containers, of other definitions than the current one
  --stop            stop the Bazel server of the current folder's module, and its container; a module inside of the
                    checkout shares the checkout's container, which stays

environment:
  ICOS_CONTAINER_CACHE   folder for images and caches (default: ~/.cache/rules_icos)
  ICOS_DEBIAN_MIRROR     where Debian's packages come from (default: https://deb.debian.org/debian)
  ICOS_REQUIRE_CURRENT_MIRROR   1: package lists that are past their Valid-Until date are an error, not a warning
  ICOS_IMAGE_DEFINITION  another definition instead of image.sh

completion.bash, beside this script, completes these options in bash; source it from ~/.bashrc.

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
            -f | --full) say "-f: there is one image, which has everything" ;;
            --cache-dir=?*) ICOS_CONTAINER_CACHE=${1#*=} ;;
            -c | --cache-dir)
                [ -n "${2-}" ] || fail "$1: needs a folder"
                ICOS_CONTAINER_CACHE=$2
                shift
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
    # Bazel's output goes below XDG_CACHE_HOME. https://bazel.build/remote/output-directories
    environment+=(HOME="$HOME" XDG_CACHE_HOME="$home/.cache" USER="$(id -un)" LANG=C.UTF-8)
    environment+=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
}

# Sets `module`, the root of the Bazel module that the current folder is in, or the checkout; and `workspace`, which has
# a container of its own: the module, but for one inside of the checkout, which shares the checkout's.
find_workspace() {
    local above
    module=$(pwd -P)
    until is_module "$module"; do module=$(dirname "$module"); done
    # The container's home takes the place of this one. In a variable, since bash matches "${module%/}"/* with no path if
    # the module is /.
    above=${module%/}
    case $(cd "$HOME" && pwd -P)/ in "$above"/*) module=$checkout ;; esac
    workspace=$module
    case $module/ in "$checkout"/*) workspace=$checkout ;; esac
}

# Returns whether a folder is the root of a Bazel module. https://bazel.build/concepts/build-ref#workspace
is_module() {
    [ "$1" = / ] || [ -f "$1/MODULE.bazel" ] || [ -f "$1/REPO.bazel" ] || [ -f "$1/WORKSPACE.bazel" ] || [ -f "$1/WORKSPACE" ]
}

prepare_cache() {
    : "${HOME:?must be set}"
    cache=${ICOS_CONTAINER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rules_icos}
    mkdir -p "$cache/images" "$cache/home" 2>/dev/null && [ -w "$cache/images" ] && [ -w "$cache/home" ] ||
        fail "the cache folder $cache cannot be used" "make it writable, or set ICOS_CONTAINER_CACHE to another one"
    cache=$(cd "$cache" && pwd -P)
}

# Sets `home`, the folder that stands for the home in the container, and `shown`, the folders that the container shows
# under their own paths, parents first. Bazel's output is among them, since its links in a workspace name it.
find_folders() {
    # Two homes: Bazel knows its server by a process number, which means something else in Podman's containers.
    home=$cache/home
    [ "$backend" = podman ] || home=$cache/home-bubblewrap
    mkdir -p "$home/.cache"
    mapfile -d '' -t shown < <(printf '%s\0' /tmp /var/tmp "$checkout" "$workspace" "$home/.cache" ${mounts[@]+"${mounts[@]}"} |
        LC_ALL=C sort --zero-terminated --unique)
}

# The current folder where the container shows it, else the checkout.
working_directory() {
    local folder
    for folder in "${shown[@]}"; do
        case $PWD/ in
            "$folder"/*)
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

# Returns whether the command is `bazel [OPTION…] build …`.
builds() {
    local word
    [ "${command[0]}" = bazel ] || return 1
    for word in "${command[@]:1}"; do
        case $word in
            build) return 0 ;;
            -*) ;;
            *) return 1 ;;
        esac
    done
    return 1
}

# Stops the module's server, whichever backend it runs in.
stop() {
    local chosen=$backend
    for backend in podman bubblewrap; do
        [ "$chosen" = auto ] || [ "$chosen" = "$backend" ] || continue
        find_folders
        compose_environment
        "${backend}_stop"
    done
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
    find_workspace
    if [ "$action" = stop ]; then
        stop
        exit 0
    fi
    make_image
    backend=$(choose_backend)
    find_folders
    compose_environment
    cd "$(working_directory)"
    ! at_terminal || ! builds || command=("$here/run-bazel.sh" "${command[@]}")
    "${backend}_run" "${command[@]}"
}

main "$@"
