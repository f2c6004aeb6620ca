"""Proves that a lock has what signed archives had when it was made; uses no network. The exit status is 1 if not.

Every package of the lock must be in package lists whose hashes are in the Release files beside the lock, and these must
be signed by keys of the manifest's keyrings. gpgv is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.debian.manifest import read_manifest
from tools.debian.proof import prove_lock


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("the manifest; its keyrings are beside it")
    lock: FileName = argument("the lock; the Release files are in the folder beside it")
    list: tuple[FileName, ...] = argument("a package list, as the archive has it", positional=True)
    command: str = argument("the command that makes the lock anew, for messages")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    manifest = Path(arguments.manifest)
    lists = [Path(path) for path in arguments.list]
    count = prove_lock(read_manifest(manifest), Path(arguments.lock), manifest.parent, lists, arguments.command)
    print(f"{arguments.lock}: {count} packages are those of the signed archives")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
