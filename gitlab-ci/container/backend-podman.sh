# shellcheck shell=bash disable=SC2154 # sourced by container-run.sh, whose variables it uses
# Podman: one container for each workspace and image, kept running, and commands executed in it.

# Prints the options that work with every runtime: rights for namespaces and loop devices, and limits that are in
# force already, since a caller without CAP_SYS_RESOURCE may not raise them.
podman_options() {
    local files processes
    files=$(ulimit -Hn)
    processes=$(ulimit -Hu)
    # Podman lowers its own limit of processes to this number, and what it starts can't have more.
    [ "$processes" != unlimited ] && [ "$processes" -lt 32768 ] || processes=32768
    printf '%s\n' --privileged --network=host --pull=never --ulimit "nofile=$files:$files" --ulimit "nproc=$processes:$processes"
}

# Finds out whether a container starts here, installing podman where that is possible, and with which runtime. Notes
# the runtime beside the image.
podman_works() {
    local runtime options
    # Without root, podman's own user namespace stands in the way of the sandbox's.
    [ "$(id -u)" = 0 ] || return 1
    command -v podman >/dev/null ||
        (install_tools podman:podman runc:runc) 2>/dev/null || return 1
    mapfile -t options < <(podman_options)
    for runtime in crun runc; do
        command -v "$runtime" >/dev/null || continue
        if podman run --rm --runtime="$runtime" "${options[@]}" --rootfs "$image/root:O" true </dev/null >/dev/null 2>&1; then
            echo "$runtime" >"$image/runtime"
            return 0
        fi
    done
    say "podman is here, but starts no container"
    return 1
}

# The container's name says what it shows of this machine; with other folders it is another container.
podman_name() {
    printf 'icos-%s' "$(printf '%s\0' "$image" "$workspace" "$home" "$HOME" "${shown[@]}" | sha256sum | cut -c1-16)"
}

# Podman believes a container to run whose processes were killed together with their monitor, so look at the process.
podman_running() {
    local pid
    pid=$(podman container inspect -f '{{if .State.Running}}{{.State.Pid}}{{end}}' "$1" 2>/dev/null)
    [ -n "$pid" ] && grep --quiet --text --fixed-strings "$podman_first_process" "/proc/$pid/cmdline" 2>/dev/null
}

# The first process ends at a signal and takes in orphans.
# shellcheck disable=SC2016 # expanded in the container
podman_first_process='trap "exit 0" TERM; while :; do sleep infinity & wait $!; done'

podman_start() {
    local name=$1 lock options volumes=() folder others other
    exec {lock}>"$cache/images/lock"
    flock "$lock"
    if ! podman_running "$name"; then
        # Another container of this workspace has a Bazel server that would hold this one's output base.
        mapfile -t others < <(podman_containers --filter "label=icos.checkout=$workspace")
        for other in "${others[@]}"; do podman_refuse_busy "${other%% *}"; done
        for other in "${others[@]}"; do podman_remove "${other%% *}"; done
        mapfile -t options < <(podman_options)
        for folder in "${shown[@]}"; do volumes+=(--volume "$folder:$folder"); done
        podman run --detach --rm --replace --name "$name" --runtime="$(cat "$image/runtime")" "${options[@]}" --uts=host \
            --label "icos.cache=$cache" --label "icos.image=$image_id" --label "icos.checkout=$workspace" \
            --volume "$home:$HOME" "${volumes[@]}" --rootfs "$image/root:O" \
            bash -c "$podman_first_process" </dev/null >/dev/null 2>"$cache/podman.log" {lock}>&- ||
            fail "podman could not start the container: $(tail -n 1 "$cache/podman.log")" "--backend=bubblewrap works without podman"
    fi
    exec {lock}>&-
}

# Fails if a container runs more than a Bazel server, such as a command or the machines of a test network: they would end
# with it. What a command or a daemon has started is below process 1, or, by podman exec, below a process outside.
podman_refuse_busy() {
    local processes
    podman_running "$1" || return 0
    processes=$(podman exec "$1" ps -e -o ppid=,pid=,args= </dev/null 2>/dev/null |
        awk '$1 <= 1 && $2 != 1 && $3 !~ /^(ps|bazel\(.*)$/ && !($3 == "sleep" && $4 == "infinity") { print $2, $3 }')
    [ -z "$processes" ] || fail "another container of this checkout, with other folders (--mount), runs ${processes//$'\n'/, }" \
        "only one can be there, and those processes would end with it" \
        "give the same --mount as they were started with, or end them: container-run.sh --stop"
}

podman_run() {
    [ -e "$image/runtime" ] || podman_works || fail "podman starts no container here" "--backend=bubblewrap works without it"
    local name
    name=$(podman_name)
    podman_running "$name" || podman_start "$name"
    podman_run_in "$name" "$@"
}

# Runs a command in container $1, which is running.
podman_run_in() {
    local name=$1 variable arguments=(--interactive --workdir "$PWD") status=0
    shift
    for variable in "${environment[@]}"; do arguments+=(--env "$variable"); done
    ! at_terminal || arguments+=(--tty)
    # The command's session is how it is found again, for a signal; a daemon that it left has one of its own.
    session=$(mktemp /tmp/icos-session.XXXXXX)
    trap 'rm -f "$session"' EXIT
    container=$name
    # shellcheck disable=SC2016 # expanded in the container
    supervise podman_send podman_exec "${arguments[@]}" "$name" \
        bash -c 'echo $$ >"$1"; shift; exec "$@"' container-run "$session" "$@" || status=$?
    exit "$status"
}

# An interrupt at the terminal must not reach podman itself, which would leave the command behind.
podman_exec() { if at_terminal; then exec podman exec "$@"; else exec setsid --wait podman exec "$@"; fi; }

# Sends signal $1 to the command's session in the container.
podman_send() {
    [ "$1" != INT ] || ! at_terminal || return 1
    [ -s "$session" ] || return 0
    podman exec "$container" pkill "-$1" --session "$(cat "$session")" </dev/null >/dev/null 2>&1 || :
}

podman_stop() {
    local name
    [ "$(id -u)" = 0 ] && command -v podman >/dev/null || return 0
    { podman_containers --filter "label=icos.checkout=$workspace" || :; } | while read -r name _; do
        if [ "$module" = "$workspace" ]; then
            podman_force "$name"
        elif podman_running "$name"; then
            # The server is asked through Bazel itself, which knows whose module it serves.
            (cd "$module" && podman_run_in "$name" bazel --noblock_for_lock shutdown </dev/null)
        fi
    done
}

# Removes a container. Of one that was killed, podman may first have to find out that it ended, and fail in doing so.
podman_force() {
    podman rm --force --time 3 "$1" </dev/null >/dev/null 2>&1 || podman rm --force "$1" </dev/null >/dev/null
}

# Prints names and images of this cache's containers, one a line.
podman_containers() {
    podman ps --all --filter "label=icos.cache=$cache" "$@" --format '{{.Names}} {{index .Labels "icos.image"}}' 2>/dev/null
}

podman_remove() {
    say "removing the container $1"
    podman_force "$1"
}

podman_prune() {
    local name image_of
    command -v podman >/dev/null || return 0
    podman_containers | while read -r name image_of; do
        [ "$image_of" = "$image_id" ] || podman_remove "$name"
    done
}
