"""Builds the upgrade image of the GuestOS without Bazel."""

from __future__ import annotations

import os
from collections.abc import Sequence

from guestos_tools.build import ENVIRONMENT, add_options, build, check_output, request
from guestos_tools.options import Parser, run
from tools.core.errors import UserError
from tools.image.rawfile import open_allocated, write_raw

PROGRAM = "build-ubuntu.sh"


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Builds the upgrade image of the GuestOS, or the images of the partitions that it installs, without Bazel:\n"
        "by the plan that Bazel made, with the same tools and packages, and with the same bytes.",
        f"{ENVIRONMENT}\nexample:\n  ./{PROGRAM} -o /tmp/upgrade-image.tar",
    )
    result.add_argument("-o", metavar="OUTPUT", help="the upgrade image to write, a tar")
    result.add_argument("-r", metavar="ROOT_IMG", help="the image of the root partition to write; needs -b")
    result.add_argument("-b", metavar="BOOT_IMG", help="the image of the boot partition to write; needs -r")
    add_options(result)
    return result


def main(arguments: Sequence[str]) -> None:
    """Builds what the arguments ask for."""
    given = parser().parse_args(arguments)
    outputs = {option: path for option, path in (("-o", given.o), ("-r", given.r), ("-b", given.b)) if path is not None}
    if not outputs:
        raise UserError("there is nothing to write: give -o, or -r and -b")
    if (given.r is None) != (given.b is None):
        raise UserError("-r and -b: belong together; give both, or neither")
    for option, path in outputs.items():
        check_output(option, path)
    if len({os.path.realpath(path) for path in outputs.values()}) < len(outputs):
        raise UserError(f"{', '.join(outputs)}: name the same file")
    with build(request(given, is_signed=given.o is not None)) as building:
        archive = building.make("update-img.tar")
        for option, member in (("-r", "root.img"), ("-b", "boot.img")):
            if option in outputs:
                output = os.path.abspath(outputs[option])
                building.run("image_extract", f"--image={archive}", f"--member={member}", f"--output={output}")
        if given.o is not None:
            write_raw(open_allocated(archive), given.o)


if __name__ == "__main__":
    run(PROGRAM, main)
