"""Writes a program of the reference payload, from the modules of the package `standins`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from guestos_tools.reference_payload import PROGRAMS, write_program
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    program: str = argument(f"one of {', '.join(PROGRAMS)}")
    output: OutputName = argument("the file to write")
    modules: tuple[FileName, ...] = argument("the modules of the package standins", positional=True)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if arguments.program not in PROGRAMS:
        raise UserError(f"--program: {arguments.program!r} is not one of {', '.join(PROGRAMS)}")
    write_program(arguments.program, [Path(module) for module in arguments.modules], Path(arguments.output))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
