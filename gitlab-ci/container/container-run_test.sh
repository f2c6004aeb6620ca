#!/usr/bin/env bash
# Tests of container-run.sh, with a small image of its own, made by the real tools from real packages.
#
# Usage: container-run_test.sh; as root on Debian, with Debian's packages within reach. The last line counts the tests.

# shellcheck disable=SC2016 # what stands in single quotes is expanded in the container

# A signal that is ignored from the beginning stays so for all that is started here, and these tests send some.
[ "${1:-}" = --signals-are-default ] || exec env --default-signal=INT,QUIT,HUP,TERM "$0" --signals-are-default

set -uo pipefail
set -m # jobs get process groups of their own, as in a terminal, so that interrupts are not ignored

here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd -P)
cd "$here/../.." || exit 1
script=$here/container-run.sh
work=$(mktemp -d /tmp/container-run-test.XXXXXX)
# Where the cache is by default, and modules may be: in no folder that every container shows.
mkdir -p "$HOME/.cache"
unshown=$(mktemp -d "$HOME/.cache/container-run-test.XXXXXX")
export ICOS_CONTAINER_CACHE=$unshown/cache ICOS_IMAGE_DEFINITION=$work/definition.sh
passed=0 failed=0 skipped=0

cleanup() {
    podman ps --all --quiet --filter "label=icos.cache=$ICOS_CONTAINER_CACHE" 2>/dev/null |
        xargs --no-run-if-empty podman rm --force --time 3 >/dev/null 2>&1
    rm -rf --one-file-system "$work" "$unshown"
}
trap cleanup EXIT

# The smallest image with a shell and pkill, and a stand-in for Bazel, which keeps files and a server where Bazel does:
# `bazel build … NUMBER` has a server that sleeps for that number of seconds.
define_image() {
    cat >"$ICOS_IMAGE_DEFINITION" <<EOF
#!/usr/bin/env bash
# $1
suite=trixie variant=essential packages=(procps)
EOF
    cat >>"$ICOS_IMAGE_DEFINITION" <<'EOF'
[ "${BASH_SOURCE[0]}" = "$0" ] || return 0
cat >"$1/usr/bin/bazel" <<'END'
#!/usr/bin/env bash
base=${XDG_CACHE_HOME:-$HOME/.cache}/bazel/_bazel_$USER/$(pwd | md5sum | cut -c1-32)
case "$*" in
    build\ * | *\ build\ *)
        mkdir -p "$base/bin" && echo built >"$base/bin/output" && echo "$*" >"$base/bin/arguments" && ln -sfn "$base/bin" bazel-bin
        setsid sleep "${!#}" >/dev/null 2>&1 </dev/null &
        echo $! >"$base/server"
        ;;
    *shutdown) kill "$(cat "$base/server")" ;;
esac
END
chmod +x "$1/usr/bin/bazel"
EOF
    chmod +x "$ICOS_IMAGE_DEFINITION"
}

# Runs container-run.sh, or what `script` says; leaves its output in `output`, its messages in `messages`, its status in `status`.
run() {
    output=$("$script" "$@" 2>"$work/messages" </dev/null)
    status=$?
    messages=$(cat "$work/messages")
}

expect() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] && return
    printf '    %s: expected <%s>, got <%s>\n' "$1" "$2" "$3"
    [ -z "${messages:-}" ] || printf '    its messages: %s\n' "$messages"
    return 1
}

expect_in() { # WHAT PART WHOLE
    case $3 in *"$2"*) return ;; esac
    printf '    %s: expected <%s> in <%s>\n' "$1" "$2" "$3"
    return 1
}

# Waits until a command succeeds, for a minute at most.
await() {
    local deadline=$((SECONDS + 60))
    until "$@"; do
        if [ $SECONDS -ge $deadline ]; then
            printf '    never came: %s\n' "$*"
            return 1
        fi
        read -r -t 0.05 _ <> <(:)
    done
    return 0
}

# Processes are told apart by a number of seconds that nobody else sleeps for.
asleep() { pgrep -fx "sleep $1" >/dev/null; }
not_asleep() { ! asleep "$1"; }

test_help_names_every_option() {
    run --help
    local option
    for option in --backend --cache-dir --env --full --mount --prune --stop; do expect_in help "$option" "$output" || return; done
    expect status 0 "$status"
}

test_unknown_option_is_refused() {
    run --sideways true
    expect status 125 "$status" && expect_in message "unknown option '--sideways'" "$messages" && expect output "" "$output"
}

test_unknown_backend_is_refused() {
    run --backend=docker true
    expect status 125 "$status" && expect_in message "unknown backend 'docker'" "$messages"
}

test_cache_folder_that_cannot_be_used_is_named() {
    touch "$work/file"
    ICOS_CONTAINER_CACHE=$work/file/cache run true
    expect status 125 "$status" && expect_in message "$work/file/cache cannot be used" "$messages"
}

test_without_network_says_so_and_leaves_no_image() {
    ICOS_DEBIAN_MIRROR=http://127.0.0.1:9/debian run true
    expect status 125 "$status" && expect_in message "is http://127.0.0.1:9/debian reached" "$messages" &&
        expect images "" "$(find "$ICOS_CONTAINER_CACHE/images" -name ready)"
}

test_interrupted_first_call_leaves_no_process() {
    local call
    # A file of its own: what another call said would be taken for this one's before that has begun.
    : >"$work/interrupted-messages"
    "$here/container-run.sh" true >"$work/interrupted-messages" 2>&1 </dev/null &
    call=$!
    await grep -q 'running apt-get update' "$work/interrupted-messages" || return
    kill -INT "$call"
    wait "$call"
    await mmdebstrap_gone && expect images "" "$(find "$ICOS_CONTAINER_CACHE/images" -name ready)"
}
mmdebstrap_gone() { ! pgrep -f 'mmdebstrap .*--include=procps' >/dev/null; }

test_two_first_calls_at_once_make_one_image() {
    local first second
    "$here/container-run.sh" echo first >"$work/first" 2>"$work/first-messages" </dev/null &
    first=$!
    "$here/container-run.sh" echo second >"$work/second" 2>"$work/second-messages" </dev/null &
    second=$!
    wait "$first" && wait "$second" || return
    expect first first "$(cat "$work/first")" && expect second second "$(cat "$work/second")" &&
        expect "images made" 1 "$(cat "$work"/*-messages | grep -c 'made the image')"
}

test_status_is_handed_through() {
    run "--backend=$1" sh -c 'exit 42'
    expect status 42 "$status"
}

test_arguments_are_handed_through() {
    run "--backend=$1" printf '<%s>' 'two  words' '"quoted"' "it's" '$HOME' '*' '' '-n'
    expect output '<two  words><"quoted"><it'"'"'s><$HOME><*><><-n>' "$output"
}

test_input_and_binary_output_are_handed_through() {
    local sum
    sum=$(head -c 300000 /dev/urandom | tee "$work/random" | sha256sum)
    expect sum "$sum" "$("$here/container-run.sh" "--backend=$1" cat <"$work/random" | sha256sum)"
}

test_environment_is_not_the_hosts() {
    SECRET=1 GIVEN=2 run "--backend=$1" --env=GIVEN --env=SAID='a b' sh -c 'echo "${SECRET-none} $GIVEN $SAID $HOME"'
    expect output "none 2 a b $HOME" "$output"
}

test_checkout_stands_under_its_path_and_is_writable() {
    run "--backend=$1" sh -c 'touch gitlab-ci/container/.written && rm gitlab-ci/container/.written && pwd'
    expect output "$(cd "$here/../.." && pwd -P)" "$output" && expect status 0 "$status"
}

test_home_is_kept_between_calls() {
    run "--backend=$1" sh -c 'echo kept >"$HOME/note"'
    run "--backend=$1" sh -c 'cat "$HOME/note"'
    expect output kept "$output"
}

# A checkout with a module inside of it, and a module elsewhere that calls the checkout's script.
make_modules() {
    mkdir -p "$unshown/checkout/gitlab-ci" "$unshown/checkout/inner" "$unshown/elsewhere/folder"
    cp -r "$here" "$unshown/checkout/gitlab-ci"
    touch "$unshown"/{checkout,checkout/inner,elsewhere}/MODULE.bazel
}

# Runs the script of the checkout of `make_modules` in one of its folders.
run_in() { # FOLDER ARGUMENT…
    local script=$unshown/checkout/gitlab-ci/container/container-run.sh
    cd "$unshown/$1" || return
    run "${@:2}"
    cd - >/dev/null || return
}

test_links_of_bazel_lead_to_the_same_files_outside() {
    local folder
    make_modules
    for folder in checkout checkout/inner elsewhere; do
        rm -f "$unshown/$folder/bazel-bin"
        run_in "$folder" "--backend=$1" bazel build 1
        expect "output of $folder" built "$(cat "$unshown/$folder/bazel-bin/output" 2>&1)" || return
        run_in "$folder" "--backend=$1" cat bazel-bin/output
        expect "output of $folder inside" built "$output" || return
    done
}

test_module_stands_under_its_path_and_is_writable() {
    make_modules
    run_in elsewhere/folder "--backend=$1" sh -c 'touch written && ls ../MODULE.bazel && pwd'
    expect output "../MODULE.bazel"$'\n'"$unshown/elsewhere/folder" "$output" &&
        expect "written there" there "$([ -e "$unshown/elsewhere/folder/written" ] && echo there)"
}

test_in_no_module_nothing_more_than_the_checkout_is_shown() {
    local name=${unshown##*/}
    touch "$unshown/file"
    cd / || return
    # Folders may be there, in the container's home: other modules were shown in them.
    run "--backend=$1" sh -c "pwd; ls '$unshown/file'; touch '/$name'"
    cd - >/dev/null || return
    expect output "$PWD" "$output" && expect "written here" "" "$([ ! -e "/$name" ] || echo there)"
}

test_stop_stops_the_module_of_the_current_folder_alone() {
    make_modules
    run_in checkout "--backend=$1" bazel build 86011
    run_in checkout/inner "--backend=$1" bazel build 86012
    run_in elsewhere "--backend=$1" bazel build 86013
    await asleep 86011 && await asleep 86012 && await asleep 86013 || return
    run_in elsewhere/folder "--backend=$1" --stop
    expect "status elsewhere" 0 "$status" && await not_asleep 86013 && asleep 86011 && asleep 86012 || return
    run_in checkout/inner "--backend=$1" --stop
    expect "status inside" 0 "$status" && await not_asleep 86012 && asleep 86011 || return
    run_in checkout/gitlab-ci "--backend=$1" --stop
    expect "status of the checkout" 0 "$status" && await not_asleep 86011
}

# At a terminal, Bazel is to write down what it built, for the last words.
test_build_at_a_terminal_alone_has_last_words() {
    local script=$unshown/checkout/gitlab-ci/container/container-run.sh
    make_modules
    run_in elsewhere "--backend=$1" bazel build 1
    expect arguments "build 1" "$(cat "$unshown/elsewhere/bazel-bin/arguments")" || return
    (cd "$unshown/elsewhere" && script -qec "$script --backend=$1 bazel --x build 1" /dev/null </dev/null >/dev/null 2>&1)
    expect_in arguments "--x build --build_event_json_file=" "$(cat "$unshown/elsewhere/bazel-bin/arguments")"
}

# An image belongs to a user; this one gets a copy of the one that is there.
test_without_root_links_lead_to_the_same_files_outside() {
    local cache=$work/cache-of-nobody image
    local as_nobody=(setpriv --reuid=nobody --regid=nogroup --clear-groups env "HOME=$work/nobody" "ICOS_CONTAINER_CACHE=$cache")
    make_modules
    chmod 755 "$work"
    mkdir -p "$work/nobody" "$cache/images"
    cp -r "$unshown/checkout" "$unshown/elsewhere" "$work"
    image=$("${as_nobody[@]}" bash -c ". $work/checkout/gitlab-ci/container/make-image.sh && cache=$cache && find_image && echo \$image")
    cp -r "$(dirname "$(find "$ICOS_CONTAINER_CACHE/images" -name ready)")" "$image"
    rm -f "$image/backend" "$image/bubblewrap-works"
    chown -R --no-dereference nobody:nogroup "$work"
    output=$(cd "$work/elsewhere" && "${as_nobody[@]}" "$work/checkout/gitlab-ci/container/container-run.sh" bazel build 1 2>&1)
    expect output "" "$output" && expect built built "$(cat "$work/elsewhere/bazel-bin/output" 2>&1)"
    local result=$?
    chown -R --no-dereference root:root "$work"
    return "$result"
}

test_daemon_outlives_its_call() {
    run "--backend=$1" sh -c 'setsid sleep 86001 >/dev/null 2>&1 </dev/null &'
    await asleep 86001 && run "--backend=$1" pkill -fx 'sleep 86001' && await not_asleep 86001
}

# As when a virtual machine is frozen and its processes are killed: the monitor dies too, podman never learns of the end.
test_container_whose_processes_were_killed_is_started_anew() {
    local name processes
    run --backend=podman true
    name=$(podman ps --filter "label=icos.cache=$ICOS_CONTAINER_CACHE" --filter "label=icos.checkout=$PWD" --format '{{.Names}}')
    read -r -a processes <<<"$(podman container inspect -f '{{.State.ConmonPid}} {{.State.Pid}}' "$name")"
    kill -KILL "${processes[@]}" || return
    run --backend=podman echo alive
    expect output alive "$output" && expect status 0 "$status"
}

# As machines of a test network, which would end with the container.
test_container_that_runs_a_daemon_is_not_replaced() {
    local result=0
    run --backend=podman sh -c 'setsid sleep 86008 >/dev/null 2>&1 </dev/null &'
    await asleep 86008 || return
    run --backend=podman "--mount=$unshown" true
    { expect status 125 "$status" && expect_in messages "with other folders (--mount), runs " "$messages" &&
        expect_in messages " sleep" "$messages" && expect_in messages "--stop" "$messages" && asleep 86008; } || result=1
    run --backend=podman pkill -fx 'sleep 86008'
    await not_asleep 86008 || result=1
    run --backend=podman "--mount=$unshown" ls "$unshown"
    expect status 0 "$status" || result=1
    return "$result"
}

test_interrupt_ends_the_command_and_leaves_no_process() {
    local call
    "$here/container-run.sh" "--backend=$1" sh -c 'sleep 86002 & sleep 86003' </dev/null &
    call=$!
    await asleep 86003 && kill -INT "$call"
    wait "$call" 2>/dev/null
    expect status 130 $? && await not_asleep 86002 && await not_asleep 86003
}

# With all cores busy, a process that is started to clean up may be told to end before it has begun.
test_interrupt_on_a_busy_machine_leaves_no_process() {
    local spinners=() result=0
    for _ in 1 2 3 4 5 6; do
        while :; do :; done &
        spinners+=($!)
    done
    for _ in 1 2 3 4 5 6 7 8; do
        test_interrupt_ends_the_command_and_leaves_no_process "$1" || result=1
    done
    kill "${spinners[@]}"
    wait "${spinners[@]}" 2>/dev/null
    return "$result"
}

test_command_that_ignores_a_signal_is_killed() {
    local call
    "$here/container-run.sh" "--backend=$1" bash -c 'trap "" TERM; sleep 86004; sleep 86005' </dev/null &
    call=$!
    await asleep 86004 && kill -TERM "$call"
    wait "$call" 2>/dev/null
    await not_asleep 86004 && await not_asleep 86005
}

test_interrupt_key_at_a_terminal() {
    local keys
    mkfifo "$work/keys"
    script -qec "$here/container-run.sh --backend=$1 sleep 86006" /dev/null <"$work/keys" >/dev/null 2>&1 &
    exec {keys}>"$work/keys"
    await asleep 86006 && printf '\003' >&"$keys"
    await not_asleep 86006
    local result=$?
    exec {keys}>&-
    rm "$work/keys"
    wait
    return "$result"
}

test_prune_removes_images_of_other_definitions() {
    local old
    old=$(dirname "$(find "$ICOS_CONTAINER_CACHE/images" -name ready)")
    define_image "changed"
    run --prune
    expect status 0 "$status" && expect "old image" gone "$([ -e "$old" ] && echo there || echo gone)"
}

attempt() { # NAME ARGUMENT…
    if "test_$1" "${@:2}"; then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$*"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$*"
    fi
}

main() {
    local backend test
    define_image "first"
    for test in help_names_every_option unknown_option_is_refused unknown_backend_is_refused \
        cache_folder_that_cannot_be_used_is_named without_network_says_so_and_leaves_no_image \
        interrupted_first_call_leaves_no_process two_first_calls_at_once_make_one_image; do
        attempt "$test"
    done
    for backend in podman bubblewrap; do
        run "--backend=$backend" true
        if [ "$status" -ne 0 ]; then
            skipped=$((skipped + 1))
            printf 'SKIPPED every test of %s: %s\n' "$backend" "$messages"
            continue
        fi
        for test in status_is_handed_through arguments_are_handed_through input_and_binary_output_are_handed_through \
            environment_is_not_the_hosts checkout_stands_under_its_path_and_is_writable home_is_kept_between_calls \
            links_of_bazel_lead_to_the_same_files_outside module_stands_under_its_path_and_is_writable \
            in_no_module_nothing_more_than_the_checkout_is_shown \
            stop_stops_the_module_of_the_current_folder_alone build_at_a_terminal_alone_has_last_words daemon_outlives_its_call interrupt_ends_the_command_and_leaves_no_process \
            interrupt_on_a_busy_machine_leaves_no_process command_that_ignores_a_signal_is_killed \
            interrupt_key_at_a_terminal; do
            attempt "$test" "$backend"
        done
        case $backend in
            podman)
                attempt container_whose_processes_were_killed_is_started_anew
                attempt container_that_runs_a_daemon_is_not_replaced
                ;;
            bubblewrap) attempt without_root_links_lead_to_the_same_files_outside ;;
        esac
    done
    attempt prune_removes_images_of_other_definitions
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}

main
