# shellcheck shell=bash
# Runs a command so that signals reach it, and nothing of it is left when it has ended.

# How long a command may take to end after a signal, in seconds, before it is killed.
grace=10

# What `send_to_descendants` has sent signals to.
told=()

# Usage: supervise SEND COMMAND…; returns the command's status. `SEND SIGNAL PID` hands a signal on to the command,
# whose process here is PID, or fails if there is no need to: at a terminal an interrupt has reached it already.
supervise() {
    local send=$1 child killer="" status=0 signal
    shift
    "$@" <&0 &
    child=$!
    # shellcheck disable=SC2064 # the values of now
    for signal in INT TERM HUP; do trap "end_command $send $signal $child" "$signal"; done
    # A trapped signal ends `wait` early, the command's end ends it for good.
    while :; do
        status=0
        wait "$child" || status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap - INT TERM HUP
    if [ -n "$killer" ]; then
        kill "$killer" 2>/dev/null || :
        "$send" KILL "$child" || : # what a command that was told to end left behind
    fi
    return "$status"
}

# Sends a signal, and a kill when the grace is over. Sets `killer`, a local of `supervise`.
end_command() {
    "$1" "$2" "$3" && [ -z "$killer" ] || return 0
    {
        # A pipe that nobody writes to: unlike sleep, this leaves no process when it is killed.
        read -r -t "$grace" _ <> <(:) || :
        "$1" KILL "$3"
    } >/dev/null 2>&1 &
    killer=$!
}

at_terminal() { [ -t 0 ] && [ -t 1 ]; }

# Prints a process and all of its descendants.
descendants() {
    local child children=()
    echo "$1"
    [ -e "/proc/$1" ] || return 0
    read -ra children <"/proc/$1/task/$1/children" || :
    for child in ${children[@]+"${children[@]}"}; do descendants "$child"; done
}

# A SEND for `supervise`: sends signal $1 to process $2 and its descendants; before it kills them, they get the time to
# clean up. A shell's background jobs ignore interrupts.
send_to_descendants() {
    local deadline=$((SECONDS + grace)) processes
    if [ "$1" != KILL ]; then
        mapfile -t processes < <(descendants "$2")
        told+=("${processes[@]}")
        kill "-${1/INT/TERM}" "${processes[@]}" 2>/dev/null || :
        return
    fi
    while kill -0 "${told[@]}" 2>/dev/null && [ $SECONDS -lt $deadline ]; do read -r -t 0.1 _ <> <(:) || :; done
    kill -KILL "${told[@]}" 2>/dev/null || :
}
