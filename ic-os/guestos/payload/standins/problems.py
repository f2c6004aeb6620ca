"""Errors and messages of the stand-ins, and the frame of their command lines."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from standins import NOTICE


class StandInError(Exception):
    """What is wrong with the system or its configuration. The message is one line."""


def parser(program: str, description: str) -> argparse.ArgumentParser:
    """Returns a parser that takes no abbreviated flags, as the programs of a release, and says that this is none."""
    return argparse.ArgumentParser(prog=program, description=f"{description} This is a {NOTICE}.", allow_abbrev=False)


def say(program: str, text: str) -> None:
    """Writes a line to the journal."""
    print(f"{program}: {text}", flush=True)


def run(program: str, action: Callable[[], int]) -> NoReturn:
    """Runs a program and exits with its status; with 1 and a message after a StandInError."""
    try:
        sys.exit(action())
    except StandInError as error:
        print(f"{program}: error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
