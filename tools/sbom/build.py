"""Puts the inventory of an image together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tools.sbom.files import own_files
from tools.sbom.installed import read_distribution, read_packages
from tools.sbom.inventory import Inventory, OwnFile, Package
from tools.tree.node import Directory


def build_inventory(
    parts: Mapping[str, Directory],
    locks: Mapping[tuple[str, str, str], Mapping[str, Any]],
    *,
    name: str,
    version: str,
    created: str,
    files: bool,
) -> Inventory:
    """Returns the inventory of an image.

    Args:
        parts: the root trees in the image by the names of its parts, such as partitions; the one of an image with a
            single tree has no name.
        locks: entries of locks, from `read_locks`.
        name: of the image.
        version: of the image; may be empty.
        created: time for the formats' field, such as 1970-01-01T00:00:00Z.
        files: whether to list the files that are not as a package has them.

    Raises:
        UserError: dpkg's database is invalid.
    """
    found: dict[tuple[str, str, str], Package] = {}
    own: list[OwnFile] = []
    for part, root in parts.items():
        for package in read_packages(root, locks):
            key = (package.name, package.architecture, package.version)
            same = found.get(key, package)
            best = same if same.license else package  # a part may lack the copyright files
            found[key] = replace(best, parts=tuple(dict.fromkeys((*same.parts, part))))
        listed = own_files(root) if files else ()
        own += [replace(file, path=f"{part}:{file.path}") if part else file for file in listed]
    systems = [read_distribution(root) for root in parts.values()]
    known = [system for system in systems if system.version]
    packages = [replace(package, parts=tuple(filter(None, package.parts))) for package in found.values()]
    return Inventory(
        name=name,
        version=version,
        created=created,
        distribution=(known or systems)[0],
        packages=tuple(sorted(packages, key=lambda package: (package.name, package.architecture, package.version))),
        files=tuple(own),
    )
