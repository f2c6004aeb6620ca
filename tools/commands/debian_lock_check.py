"""Checks that a lock was made from its manifest as it is now; uses no network. The exit status is 1 if it was not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing
from tools.debian.lock import check_lock
from tools.debian.manifest import read_manifest


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("the manifest", positional=True)
    lock: FileName = argument("the lock", positional=True)
    command: str = argument("the command that makes the lock anew, for the message")
    output: OutputName | None = argument("an empty file to write if the check passes", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    check_lock(read_manifest(Path(arguments.manifest)), Path(arguments.lock), arguments.command)
    if arguments.output is not None:
        with replacing(arguments.output):
            pass


if __name__ == "__main__":
    run(main, Arguments, __doc__)
