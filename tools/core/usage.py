"""What command lines say about themselves: the text of --help, and completion for bash."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence

from tools.core.parameters import Parameter

_BASH = r"""# Completion of commands for bash: `source` this file, for instance from ~/.bashrc.

_rules_icos_complete() {
    local current=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD - 1]} known values=
    # Bash takes the = in --flag=value for a word of its own.
    if [[ $current == "=" ]]; then
        current=
    elif [[ $flag == "=" ]]; then
        flag=${COMP_WORDS[COMP_CWORD - 2]}
    elif [[ $current == -* ]]; then
        flag=
    fi
    local -a flags=()
    case ${COMP_WORDS[0]##*/} in
@CASES@    esac
    for known in "${flags[@]}"; do
        [[ $flag == -* && $known == "$flag="* ]] && values=${known#*=}
    done
    compopt +o filenames +o nospace 2>/dev/null
    COMPREPLY=()
    if [[ $values == "FILE" || (-z $values && $current != -*) ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
    elif [[ $values == *"|"* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${values//|/ }" -- "$current")
    elif [[ -z $values ]]; then
        for known in "${flags[@]}"; do
            [[ $known == *=* ]] && known=${known%%=*}=
            [[ $known == "$current"* ]] && COMPREPLY+=("$known")
        done
        [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
    fi
    return 0
}

complete -F _rules_icos_complete @NAMES@
"""


def help_text(program: str, description: str, given: Sequence[Parameter]) -> str:
    """Returns what --help prints.

    Args:
        program: name of the command.
        description: what it does.
        given: its arguments.
    """
    lines = [textwrap.dedent(description).strip(), "", usage(program, given), ""]
    if positional := [parameter for parameter in given if parameter.positional]:
        lines += ["arguments, which may be given as flags too:", *_described(positional), ""]
    lines += ["flags:", *_described([parameter for parameter in given if not parameter.positional])]
    lines += [
        "  --spec=FILE",
        "      a JSON file with an object whose keys are these names; a flag or an argument overrides its key",
        "  -h, --help",
        "      print this text",
    ]
    return "\n".join(lines)


def usage(program: str, given: Sequence[Parameter]) -> str:
    """Returns the line that shows how a command is called."""
    words = [_positional(parameter) for parameter in given if parameter.positional]
    return " ".join([f"usage: {program} [FLAGS]", *words])


def _positional(parameter: Parameter) -> str:
    word = parameter.name.upper() + ("..." if parameter.repeated else "")
    return word if parameter.required else f"[{word}]"


def _described(given: Sequence[Parameter]) -> Iterator[str]:
    for parameter in given:
        value = f"={parameter.placeholder}" if parameter.placeholder else ""
        name = f"{_positional(parameter)}, " if parameter.positional else ""
        yield f"  {name}--{parameter.name}{value}"
        notes = ["may be repeated"] if parameter.repeated else []
        if parameter.required:
            notes.append("required")
        elif parameter.default not in (None, False, ()):
            notes.append(f"default: {parameter.default}")
        text = parameter.help + (f" ({', '.join(notes)})" if notes else "")
        yield from textwrap.wrap(text, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)


def bash_completion(commands: Mapping[str, Sequence[Parameter]]) -> str:
    """Returns a script for bash that completes the flags of commands, values of a few words, and names of files.

    Args:
        commands: the arguments of each command by its name.
    """
    cases = ""
    for name, given in sorted(commands.items()):
        flags = [f"--{each.name}={each.placeholder}" if each.placeholder else f"--{each.name}" for each in given]
        words = " ".join(f"'{flag}'" for flag in [*flags, "--spec=FILE", "--help"])
        cases += f"    {name}) flags=({words}) ;;\n"
    return _BASH.replace("@CASES@", cases).replace("@NAMES@", " ".join(sorted(commands)))
