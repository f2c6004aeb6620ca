"""Checks that a lock belongs to its manifest; uses no network."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.debian.lock import check_lock
from tools.debian.manifest import read_manifest

_MANIFEST = flags.DEFINE_string("manifest", None, "The manifest.", required=True)
_LOCK = flags.DEFINE_string("lock", None, "The lock.", required=True)
_COMMAND = flags.DEFINE_string("command", None, "What makes the lock anew, for the message.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "An empty file to write when all is well.")


def run(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        check_lock(read_manifest(Path(_MANIFEST.value)), Path(_LOCK.value), _COMMAND.value)
        if _OUTPUT.value is not None:
            with replacing(_OUTPUT.value):
                pass
    except UserError as error:
        print(f"debian_lock_check: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(run)
