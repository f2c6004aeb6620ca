"""Installs Debian packages into a new root and writes it as a tar; see base_root.py."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from tools.core.errors import UserError
from tools.debian.base_root import BaseRoot, build_base_root

_DEB = flags.DEFINE_multi_string("deb", None, "A package to install.", required=True)
_INSTALLER = flags.DEFINE_multi_string(
    "installer", None, "The packages fakeroot, libfakeroot and libeatmydata1.", required=True
)
_PROVIDED = flags.DEFINE_multi_string("provided", [], "A virtual package that dpkg is to take for installed.")
_EXCLUDE = flags.DEFINE_multi_string("exclude", [], "Pattern of paths to leave out.")
_INCLUDE = flags.DEFINE_multi_string("include", [], "Pattern of paths to keep in spite of --exclude.")
_OUTPUT = flags.DEFINE_string("output", None, "The tar to write.", required=True)


def run(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        spec = BaseRoot(
            debs=[Path(deb) for deb in _DEB.value],
            installer=[Path(deb) for deb in _INSTALLER.value],
            provided=_PROVIDED.value,
            exclude=_EXCLUDE.value,
            include=_INCLUDE.value,
        )
        build_base_root(spec, Path(_OUTPUT.value))
    except UserError as error:
        print(f"debian_base_root: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(run)
