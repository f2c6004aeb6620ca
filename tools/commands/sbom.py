"""Writes bills of materials of root trees: SPDX 2.3 and CycloneDX 1.6, both in JSON.

They list the Debian packages in the trees with version, source package, license, and the package file's hash from the
locks; and, with --files, every file that is not as a package has it. The same inputs give the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.rootfs.assemble import assemble
from tools.rootfs.tree_spec import RootfsArguments
from tools.sbom.build import build_inventory
from tools.sbom.cyclonedx import to_cyclonedx
from tools.sbom.installed import read_locks
from tools.sbom.inventory import Inventory
from tools.sbom.spdx import to_spdx

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A root tree in an image: the name of its partition, and its specification."""

    name: str
    tree: RootfsArguments


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    parts: tuple[Part, ...] = argument(
        'the root trees, as [{"name": "A_root", "tree": …}] with the specification of tools/rootfs/tree_spec.py; of an '
        "image that is one tree, the name is empty"
    )
    lock: tuple[FileName, ...] = argument("a lock with hashes and URLs of packages", default=())
    name: str = argument("name of the image")
    version_file: FileName | None = argument("file whose first line is the version of the image", default=None)
    created: str = argument("time in the documents", default="1970-01-01T00:00:00Z")
    files: bool = argument("list files that are not as a package has them", default=True)
    spdx: OutputName | None = argument("the SPDX document to write", default=None)
    cyclonedx: OutputName | None = argument("the CycloneDX document to write", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    outputs: list[tuple[str | None, Callable[[Inventory], str]]] = [
        (arguments.spdx, to_spdx),
        (arguments.cyclonedx, to_cyclonedx),
    ]
    if not any(path for path, _ in outputs):
        raise UserError("there is nothing to write: give --spdx or --cyclonedx")
    if not arguments.parts:
        raise UserError("there is nothing to list: give at least one root tree by --parts")
    try:
        datetime.strptime(arguments.created, _TIME)
    except ValueError as error:
        raise UserError(f"--created: must be a time such as 1970-01-01T00:00:00Z, not {arguments.created!r}") from error
    inventory = build_inventory(
        {part.name: assemble(part.tree, part.name or "the root tree") for part in arguments.parts},
        read_locks(arguments.lock),
        name=arguments.name,
        version=_first_line(arguments.version_file),
        created=arguments.created,
        files=arguments.files,
    )
    for path, encode in outputs:
        if path is not None:
            with replacing(path) as fd:
                write_all(fd, encode(inventory).encode())


def _first_line(path: FileName | None) -> str:
    if path is None:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a version: {error}") from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
