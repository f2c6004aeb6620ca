"""Checks that two builds of the same outputs have the same bytes, or says in what they differ; exits with 1 then."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.outputs import write_to_stdout
from tools.image.digest import sha256
from tools.image.rawfile import open_allocated
from tools.inspect.file_differences import file_differences


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    outputs: dict[str, tuple[str, ...]] = argument("name of an output to its two files, of the first and second build")
    most: int = argument("how many differences to print of each output; 0 for all", default=20)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if not arguments.outputs:
        raise UserError("there are no outputs to compare")
    different = []
    for name, paths in arguments.outputs.items():
        if len(paths) != 2:
            raise UserError(f"outputs: {name} has {len(paths)} files; two are compared")
        found = file_differences(*paths, f"{name}: ")
        lines = list(itertools.islice(found, arguments.most or None))
        if lines:
            different.append(name)
            more = [f"{name}: and more"] * (next(found, None) is not None)
            write_to_stdout(f"{line}\n".encode() for line in lines + more)
        else:
            print(f"{name}: the same in both builds{_digest(paths[0])}", flush=True)
    if different:
        raise UserError(f"two builds differ in {', '.join(different)}; above: the first build's value / the second's")


def _digest(path: str) -> str:
    """Returns the hash of a file, for a reader of the log; nothing for a folder."""
    return f", SHA-256 {sha256(open_allocated(path)).hex()}" if os.path.isfile(path) else ""


if __name__ == "__main__":
    run(main, Arguments, __doc__)
