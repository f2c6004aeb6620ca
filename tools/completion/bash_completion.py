"""Writes a script that completes flags, values and names of files of commands in bash.

`source` the script in a shell, or in ~/.bashrc. It is for commands that are called by their names or paths, such as
bazel-bin/tools/commands/image_ls.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName
from tools.core.outputs import replacing, write_all, write_to_stdout
from tools.core.parameters import parameters
from tools.core.usage import bash_completion

_PACKAGE = "tools.commands"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    command: tuple[str, ...] = argument("name of a command in tools/commands", positional=True)
    output: OutputName = argument("the script to write, - for standard output", default="-")


def script(names: tuple[str, ...]) -> str:
    """Returns the script for commands.

    Raises:
        UserError: there is no such command.
    """
    commands = {}
    for name in names:
        try:
            module = importlib.import_module(f"{_PACKAGE}.{name}")
        except ModuleNotFoundError as error:
            raise UserError(f"{name}: there is no such command in tools/commands: {error}") from error
        commands[name] = parameters(module.Arguments)
    return bash_completion(commands)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    text = script(arguments.command).encode()
    if arguments.output == "-":
        write_to_stdout([text])
        return
    with replacing(arguments.output) as fd:
        write_all(fd, text)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
