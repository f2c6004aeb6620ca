# shellcheck shell=bash disable=SC2154 # sourced by container-run.sh, whose variables it uses
# Bubblewrap: namespaces of the kernel, made anew for every command. Processes are shared with this machine, so that
# a Bazel server outlives the command that started it.

# Prints bubblewrap's arguments, each ended by a NUL byte.
bubblewrap_arguments() {
    local entry name folder variable
    # The root is a file system in memory, so that mount points can be made in it for any folder.
    printf '%s\0' --tmpfs /
    for entry in "$image"/root/*; do
        name=/${entry##*/}
        case $name in
            /dev | /proc | /sys | /run | /tmp | /home | /root) ;;
            *) if [ -L "$entry" ]; then
                printf '%s\0' --symlink "$(readlink "$entry")" "$name"
            else
                printf '%s\0' --ro-bind "$entry" "$name"
            fi ;;
        esac
    done
    # /proc as it is: a new one without what this machine mounts below it would forbid new ones to the sandbox.
    printf '%s\0' --dev-bind /dev /dev --bind /proc /proc --ro-bind /sys /sys --tmpfs /run
    for folder in /etc/resolv.conf /etc/hosts; do
        [ ! -e "$folder" ] || printf '%s\0' --ro-bind "$(readlink -f "$folder")" "$folder"
    done
    printf '%s\0' --bind "$home" "$HOME"
    for folder in "${shown[@]}"; do printf '%s\0' --bind "$folder" "$folder"; done
    printf '%s\0' --clearenv --chdir "$PWD"
    for variable in "${environment[@]}"; do printf '%s\0' --setenv "${variable%%=*}" "${variable#*=}"; done
    if [ "$(id -u)" = 0 ]; then printf '%s\0' --cap-add ALL; else printf '%s\0' --unshare-user; fi
}

bubblewrap_run() {
    local arguments
    install_tools bwrap:bubblewrap
    mapfile -d '' -t arguments < <(bubblewrap_arguments)
    if [ ! -e "$image/bubblewrap-works" ]; then
        bwrap "${arguments[@]}" true </dev/null 2>"$cache/bubblewrap.log" ||
            fail "bubblewrap starts no container: $(tail -n 1 "$cache/bubblewrap.log")" \
                "it needs user namespaces: as root, sysctl kernel.unprivileged_userns_clone=1, or run this as root"
        touch "$image/bubblewrap-works"
    fi
    supervise bubblewrap_send bubblewrap_exec "${arguments[@]}" -- "$@"
}

# A command in the background ignores interrupts unless told otherwise. Away from a terminal it gets a session of its
# own, so that all of it can be found by its process group.
bubblewrap_exec() {
    if at_terminal; then
        exec env --default-signal=INT,QUIT bwrap "$@"
    else
        exec setsid env --default-signal=INT,QUIT bwrap "$@"
    fi
}

# Sends signal $1 to what runs under process $2, which is bubblewrap and ends by itself when its command has.
bubblewrap_send() {
    local processes
    [ "$1" != INT ] || ! at_terminal || return 1
    mapfile -t processes < <(descendants "$2")
    if [ "$1" != KILL ]; then
        processes=("${processes[@]:1}")
    elif ! at_terminal; then
        processes=("-$2")
    fi
    [ ${#processes[@]} -eq 0 ] || kill "-$1" -- "${processes[@]}" 2>/dev/null || :
}

bubblewrap_stop() {
    # The server is asked through Bazel itself, which knows whose module it serves.
    [ ! -e "$image/ready" ] || [ ! -d "$home/.cache/bazel" ] ||
        (cd "$module" && bubblewrap_run bazel --noblock_for_lock shutdown)
}
