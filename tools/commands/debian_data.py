"""Takes files from packages, as a tar or a single one, without installing them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from tools.core.errors import UserError
from tools.debian.extract import choose, write_data, write_file

_DEB = flags.DEFINE_multi_string("deb", None, "A package file.", required=True)
_PACKAGE = flags.DEFINE_multi_string("package", [], "Pattern of names of packages to read; all without.")
_PATH = flags.DEFINE_multi_string("path", [], "Pattern of paths to take into the tar; all without.")
_FILE = flags.DEFINE_string("file", None, "Pattern of the one file that is to be the output, instead of a tar.")
_OUTPUT = flags.DEFINE_string("output", None, "The file to write.", required=True)


def run(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        debs = choose([Path(deb) for deb in _DEB.value], _PACKAGE.value)
        if _FILE.value is not None:
            write_file(debs, _FILE.value, Path(_OUTPUT.value))
        else:
            write_data(debs, _PATH.value, Path(_OUTPUT.value))
    except UserError as error:
        print(f"debian_data: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(run)
