# shellcheck shell=bash
# Completion of container-run.sh's options in bash; source this file, for instance from ~/.bashrc.

_container_run() {
    local word=${COMP_WORDS[COMP_CWORD]} option="" ended="" index
    COMPREPLY=()
    # Bash splits words at = and :, which are words of their own here; what comes after is an option's value.
    for ((index = 1; index < COMP_CWORD; index++)); do
        case ${COMP_WORDS[index]} in
            --) ended=yes index=$((index + 1)) && break ;;
            -*) option=${COMP_WORDS[index]} ;;
            = | :) index=$((index + 1)) ;;
            *) break ;;
        esac
    done
    if [ $index -gt "$COMP_CWORD" ] || [ "$word" = = ]; then
        _container_run_value "$option" "${word#=}"
    elif [ $index -eq "$COMP_CWORD" ] && [ -z "$ended" ] && [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "--help --cache-dir= --full --backend= --env= --mount= --prune --stop --" -- "$word")
        [[ ${COMPREPLY[0]-} != *= ]] || compopt -o nospace
    elif declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$index" # of the package bash-completion: as the command itself is completed
    elif [ $index -eq "$COMP_CWORD" ]; then
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
    fi
}

_container_run_value() { # OPTION BEGINNING
    case $1 in
        --backend) mapfile -t COMPREPLY < <(compgen -W "auto bubblewrap podman" -- "$2") ;;
        --env) mapfile -t COMPREPLY < <(compgen -e -- "$2") ;;
        --cache-dir | --mount) compopt -o filenames && mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
    esac
}

complete -o bashdefault -o default -F _container_run container-run.sh
