"""Checks that two builds of the same outputs have the same bytes, and reports how they differ.

The exit status is that of diff(1): 0 if all outputs are the same, 1 if some differ, 2 if they cannot be compared.

--json prints one object with the keys `same`, and `outputs`: a list of objects with the keys `name`, `left` and `right`
(paths of the two files), `sha256` (of a file that is the same in both builds, else null), and `same`, `more` and
`differences` as `image_diff --json` has them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName
from tools.core.outputs import write_to_stdout
from tools.core.text import escaped
from tools.image.digest import sha256
from tools.image.rawfile import open_allocated
from tools.inspect.file_differences import file_differences
from tools.inspect.report import Report


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    left: FileName | None = argument("file or folder of the first build", default=None, positional=True)
    right: FileName | None = argument("file or folder of the second build", default=None, positional=True)
    outputs: dict[str, tuple[FileName, ...]] | None = argument(
        "instead: name of each output to its two files, of the first and second build", default=None
    )
    most: int = argument("how many differences to print of each output; 0 for all", default=20)
    json: bool = argument("print JSON instead, for programs", default=False)


def pairs_of(arguments: Arguments) -> dict[str, tuple[str, str]]:
    """Returns the two files of each output by its name.

    Raises:
        UserError: there is nothing to compare, or an output has not two files.
    """
    if (arguments.left is None) != (arguments.right is None) or (arguments.left is None) == (not arguments.outputs):
        raise UserError("give LEFT and RIGHT, or at least one output by --outputs")
    if arguments.left is not None and arguments.right is not None:
        return {os.path.basename(arguments.left.rstrip("/")): (arguments.left, arguments.right)}
    pairs = {}
    for name, paths in (arguments.outputs or {}).items():
        if len(paths) != 2:
            raise UserError(f"outputs: {name} has {len(paths)} files; give two to compare")
        pairs[name] = (paths[0], paths[1])
    return pairs


def lines(name: str, report: Report, digest: str | None) -> Iterator[str]:
    """Yields what a person reads of an output."""
    if report.same:
        yield f"{escaped(name)}: the same in both builds" + (f", SHA-256 {digest}" if digest else "")
    yield from report.lines()


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: some outputs differ.
    """
    different = []
    values = []
    for name, (left, right) in pairs_of(arguments).items():
        report = Report.of(file_differences(left, right, (name,)), arguments.most)
        digest = sha256(open_allocated(left)).hex() if report.same and os.path.isfile(left) else None
        values.append({"name": name, "left": left, "right": right, "sha256": digest, **report.to_json()})
        if not arguments.json:
            write_to_stdout(f"{line}\n".encode() for line in lines(name, report, digest))
        different += [] if report.same else [name]
    if arguments.json:
        print(json.dumps({"same": not different, "outputs": values}, indent=2))
    if different:
        raise CheckError(f"two builds differ in {', '.join(different)}; the first build's value comes first")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
