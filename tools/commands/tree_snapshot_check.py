"""Compares the list of files of an image with one that was checked in, or writes that.

The lists are in the form of mtree(5), as image rules have them in the output group mtree. The exit status is 1 if they
differ; the differences are printed as by diff(1).
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.core.text import escaped

_MOST_LINES = 200


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    tree: FileName = argument("the list of the image's files", positional=True)
    snapshot: FileName | None = argument("the list that was checked in, to compare it with", default=None)
    output: OutputName | None = argument("where to write the list instead, to be checked in", default=None)
    command: str | None = argument("the command that writes the list, for the message", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: the lists differ.
        UserError: a list cannot be read, or it is not said what to do.
    """
    if (arguments.snapshot is None) == (arguments.output is None):
        raise UserError("--snapshot, --output: exclude each other; give one of them")
    tree = _read(arguments.tree)
    if arguments.output is not None:
        with replacing(arguments.output) as fd:
            write_all(fd, tree)
        print(f"{arguments.output}: written, {len(_lines(tree))} lines")
    if arguments.snapshot is not None:
        if not Path(arguments.snapshot).exists():
            raise UserError(f"{arguments.snapshot}: there is no such list{_advice('to write it', arguments)}")
        _compare(_lines(_read(arguments.snapshot)), _lines(tree), arguments)


def _advice(when: str, arguments: Arguments) -> str:
    return f"; {when}: {arguments.command}" if arguments.command else ""


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _lines(data: bytes) -> list[str]:
    return data.decode("utf-8", "replace").splitlines()


def _compare(before: Sequence[str], after: Sequence[str], arguments: Arguments) -> None:
    """Prints the first differences of two lists.

    Raises:
        CheckError: there is one.
    """
    found = difflib.unified_diff(before, after, "checked in", "built", n=0, lineterm="")
    shown = list(islice(found, _MOST_LINES + 1))
    for line in shown[:_MOST_LINES]:
        print(escaped(line))
    if len(shown) > _MOST_LINES:
        print("...")
    sys.stdout.flush()  # the error comes after the lines, in a log of both outputs, too
    if shown:
        advice = _advice("if that is right", arguments)
        raise CheckError(f"{arguments.snapshot}: differs from the image, see the lines above{advice}")
    print(f"{arguments.snapshot}: agrees with the image, {len(after)} lines")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
