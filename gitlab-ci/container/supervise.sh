# shellcheck shell=bash
# Runs a command so that signals reach it, and nothing of it is left when it has ended.

# How long a command may take to end after a signal, in seconds, before it is killed.
grace=10

# What `send_to_descendants` has sent signals to.
told=()

# Usage: supervise SEND COMMAND…; returns the command's status. `SEND SIGNAL PID` hands a signal on to the command,
# whose process here is PID, or fails if there is no need to: at a terminal an interrupt has reached it already.
supervise() {
    local send=$1 child ending="" status=0 signal
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
    [ -z "$ending" ] || "$send" KILL "$child" || : # what a command that was told to end left behind
    return "$status"
}

# Sends a signal, and a kill when the command hasn't ended by the end of the grace. Sets `ending`, a local of `supervise`.
# It waits here, not in a process of its own: one that is killed while it starts would still run these traps.
end_command() {
    local deadline=$((SECONDS + grace))
    "$1" "$2" "$3" && [ -z "$ending" ] || return 0
    ending=yes
    while kill -0 "$3" 2>/dev/null; do
        if [ $SECONDS -ge $deadline ]; then
            "$1" KILL "$3" || :
            return 0
        fi
        read -r -t 0.05 _ <> <(:) || :
    done
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
