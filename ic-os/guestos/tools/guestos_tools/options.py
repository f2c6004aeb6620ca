"""The frame of the scripts: options as their users know them, and every error in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from tools.core.errors import UserError
from tools.core.exit_status import exit_at_sigterm, exit_code
from tools.core.text import escaped


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, and takes no abbreviations."""

    def __init__(self, program: str, description: str, epilog: str = "") -> None:
        """Makes a parser without options.

        Args:
            program: what the user calls it.
            description: what it does; lines are kept.
            epilog: what else there is to say, after the options; lines are kept.
        """
        super().__init__(
            prog=program,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Raises a UserError; the base class writes two lines and exits."""
        raise UserError(f"{message}; --help lists the options")


def run(program: str, main: Callable[[Sequence[str]], None]) -> NoReturn:
    """Runs a script on the arguments of this process, and ends the process.

    The exit code is 0 if all went well; 2 after an error, of which standard error has one line; 130 after an interrupt
    from the keyboard and 143 after SIGTERM, both of which let outputs be cleaned up.

    Args:
        program: what the user calls it.
        main: does the work, given the arguments.
    """
    exit_at_sigterm()
    sys.exit(call(program, main, sys.argv[1:]))


def call(program: str, main: Callable[[Sequence[str]], None], arguments: Sequence[str]) -> int:
    """Runs a script and returns its exit code; see `run`."""
    return exit_code(lambda: main(arguments), program)


def say(message: str) -> None:
    """Tells the user how far the work is."""
    print(escaped(message), file=sys.stderr, flush=True)
