"""Makes or refreshes the lock of a manifest, and prints which packages were added, removed and upgraded.

apt resolves the manifest's sets of packages with the archives as they are now. The signed Release files that it used
are written to the folder beside the lock, for `debian_lock_verify`. Commit the new lock and that folder.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.core.version_changes import version_changes
from tools.debian.apt import Access, resolve
from tools.debian.evidence import write_evidence
from tools.debian.lock import check_not_older, locked_versions
from tools.debian.manifest import Manifest, read_manifest
from tools.debian.versions import compare_versions


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("the manifest")
    lock: OutputName = argument("the lock to write")
    mirror: tuple[str, ...] = argument(
        "ARCHIVE=URL: a mirror to ask this time instead of the archive's first; the lock doesn't name it", default=()
    )
    check_valid_until: bool = argument(
        "refuse package lists that are past their date; --nocheck_valid_until for a mirror that stands still",
        default=True,
    )
    allow_older: bool = argument("accept archives that are older than those of the present lock", default=False)


def mirrors_of(manifest: Manifest, values: tuple[str, ...]) -> dict[str, str]:
    """Returns the URLs of mirrors by archive.

    Raises:
        UserError: a value is not ARCHIVE=URL with an archive of the manifest.
    """
    mirrors = {}
    for value in values:
        name, separator, url = value.partition("=")
        if not separator or name not in manifest.archives:
            known = ", ".join(manifest.archives)
            raise UserError(f"--mirror={value}: must be ARCHIVE=URL with an archive of the manifest: {known}")
        mirrors[name] = url.rstrip("/")
    return mirrors


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    path = Path(arguments.manifest)
    manifest = read_manifest(path)
    access = Access(
        keyrings=path.parent,
        mirrors=mirrors_of(manifest, arguments.mirror),
        check_valid_until=arguments.check_valid_until,
    )
    old = locked_versions(Path(arguments.lock))
    with tempfile.TemporaryDirectory() as scratch:
        lock = resolve(manifest, access, Path(scratch))
    if not arguments.allow_older:
        check_not_older(lock, Path(arguments.lock))
    text = lock.to_json()
    with replacing(arguments.lock) as file:
        write_all(file, text.encode())
    write_evidence(manifest, lock.releases, Path(arguments.lock), path.parent)
    for line in version_changes(old, lock.versions(), compare_versions):
        print(line)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
