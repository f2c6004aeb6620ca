"""Builds the upgrade image of the GuestOS without Bazel, compressed as it is published."""

from __future__ import annotations

from collections.abc import Sequence

from guestos_tools.build import ENVIRONMENT, add_options, build, check_output, request
from guestos_tools.options import Parser, run
from tools.image.rawfile import open_allocated, write_raw

PROGRAM = "build-update-image.sh"
_SUFFIXES = {"gz": "gz", "zstd": "zst"}


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Builds the upgrade image of the GuestOS, a compressed tar, without Bazel: by the plan\n"
        "that Bazel made, with the same tools and packages, and with the same bytes.",
        f"{ENVIRONMENT}\nexample:\n  ./{PROGRAM} -o update-img.tar.zst -f zstd -v 1.2.3 -x ../../artifacts/release",
    )
    result.add_argument("-o", metavar="OUTPUT", required=True, help="the file to write")
    result.add_argument("-f", metavar="FORMAT", choices=_SUFFIXES, default="gz", help="gz (default) or zstd")
    add_options(result)
    return result


def main(arguments: Sequence[str]) -> None:
    """Builds what the arguments ask for."""
    given = parser().parse_args(arguments)
    check_output("-o", given.o)
    with build(request(given, is_signed=True)) as building:
        write_raw(open_allocated(building.make(f"update-img.tar.{_SUFFIXES[given.f]}")), given.o)


if __name__ == "__main__":
    run(PROGRAM, main)
