"""Builds the disk image of the GuestOS without Bazel."""

from __future__ import annotations

import os
from collections.abc import Sequence

from guestos_tools.build import ENVIRONMENT, add_options, build, check_output, request
from guestos_tools.options import Parser, run

PROGRAM = "build-disk-image.sh"


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Builds the disk image of the GuestOS, as a raw file with holes, without Bazel: by the\n"
        "plan that Bazel made, with the same tools and packages, and with the same bytes.",
        f"{ENVIRONMENT}\nexample:\n  ./{PROGRAM} -o disk.img -v 1.2.3 -t dev -p root -x ../../artifacts/release",
    )
    result.add_argument("-o", metavar="OUTPUT", required=True, help="the file to write")
    add_options(result)
    return result


def main(arguments: Sequence[str]) -> None:
    """Builds what the arguments ask for."""
    given = parser().parse_args(arguments)
    check_output("-o", given.o)
    with build(request(given, is_signed=False)) as building:
        archive = building.make("disk-img.tar")
        building.run("raw_disk", f"--disk={archive}", f"--output={os.path.abspath(given.o)}")


if __name__ == "__main__":
    run(PROGRAM, main)
