"""Checks that an image and its parts are no larger than their budgets.

A budget is for a subject: `total` (the data of the image, without holes), `compressed`, the name of a partition,
`package:NAME`, or a path of a file or directory, on a disk after the name of its partition, such as `A_root:/usr/lib`.
The exit status is 1 if a budget is exceeded; a line for each one says by how much.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName, Size
from tools.core.text import escaped
from tools.report.budget import exceeded
from tools.report.usage import read_usage


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    report: FileName = argument("the JSON report on the image, from image_report", positional=True)
    before: FileName | None = argument("the JSON report on the build to compare it with", default=None)
    max_size: dict[str, Size] | None = argument("most bytes by subject", default=None)
    max_growth: dict[str, str] | None = argument(
        "most growth by subject, since the build of --before: bytes, such as 2M, or a percentage, such as 1%",
        default=None,
    )


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: a budget is exceeded.
    """
    max_size, max_growth = arguments.max_size or {}, arguments.max_growth or {}
    if not max_size and not max_growth:
        raise UserError("there is nothing to check: give --max_size or --max_growth")
    usage = read_usage(arguments.report)
    before = None if arguments.before is None else read_usage(arguments.before)
    found = list(exceeded(usage, before, max_size, max_growth))
    for line in found:
        print(escaped(line), flush=True)  # the error comes after it, in a log of both outputs, too
    if found:
        raise CheckError(f"{usage.name}: {len(found)} budgets are exceeded, see the lines above")
    print(f"{usage.name}: {len(max_size) + len(max_growth)} budgets are kept")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
