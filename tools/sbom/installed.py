"""Reads the packages that are installed in a root tree: dpkg's database, os-release, copyright files and locks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from tools.core.errors import UserError
from tools.core.json_file import read_json
from tools.sbom.control import stanzas
from tools.sbom.copyright import licenses_of
from tools.sbom.inventory import Distribution, Package
from tools.tree.contents import read_small
from tools.tree.node import Directory, File
from tools.tree.paths import components, lookup

STATUS = "var/lib/dpkg/status"

_PROVIDED = "image-provided"
"""The entry of dpkg's database that stands for what an image provides by other means (tools/debian/base_root.py)."""

_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")
_OS_RELEASE = re.compile(r"""([A-Z_]+)=(["']?)(.*)\2""")


def read_text(root: Directory, path: str) -> str:
    """Returns the content of a file of a tree; empty if it doesn't exist, or a link leads out of what exists.

    Raises:
        UserError: the file is larger than what is read whole.
    """
    node = lookup(root, components(path), follow=True)
    return read_small(node, f"/{path}").decode("utf-8", "replace") if isinstance(node, File) else ""


def read_distribution(root: Directory) -> Distribution:
    """Returns what os-release(5) of a tree says; `linux`, its default, if the tree has none."""
    text = read_text(root, "etc/os-release") or read_text(root, "usr/lib/os-release")
    values = {match[1]: match[3] for match in map(_OS_RELEASE.fullmatch, text.splitlines()) if match}
    return Distribution(
        id=values.get("ID", "linux"), version=values.get("VERSION_ID", ""), name=values.get("NAME", "Linux")
    )


def read_packages(root: Directory, locks: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> list[Package]:
    """Returns the installed packages in the order of name and architecture.

    Args:
        root: the tree; without dpkg's status file it has no packages.
        locks: entries of locks, from `read_locks`.

    Raises:
        UserError: a stanza of the status file lacks a field.
    """
    packages = _with_licenses_of_source(
        _package(root, fields, locks)
        for fields in stanzas(read_text(root, STATUS))
        if fields.get("status", "").endswith(" installed") and fields.get("package") != _PROVIDED
    )
    return sorted(packages, key=lambda package: (package.name, package.architecture))


def _with_licenses_of_source(packages: Iterable[Package]) -> list[Package]:
    """Returns packages; one whose copyright file the tree lacks has the licenses of another one of the same source.

    Such packages have a link to the other's folder in /usr/share/doc (Debian policy 12.5), which images leave out.
    """
    packages = list(packages)
    known = {(each.source, each.source_version): each for each in packages if each.license}
    result = []
    for package in packages:
        other = known.get((package.source, package.source_version))
        if other is not None and not package.license:
            package = replace(package, license=other.license, custom_licenses=other.custom_licenses)  # noqa: PLW2901
        result.append(package)
    return result


def read_locks(paths: Iterable[str]) -> dict[tuple[str, str, str], dict[str, Any]]:
    """Returns the packages of locks (tools/debian/lock.py), with their URLs, by name, version and architecture.

    Raises:
        UserError: a file can't be read, or is not a lock.
    """
    result = {}
    for path in paths:
        content = read_json(path)
        try:
            for package in content["packages"].values():
                urls = content["archives"][package["archive"]]["urls"]
                key = (package["name"], package["version"], package["architecture"])
                result[key] = {"sha256": package["sha256"], "url": f"{urls[0]}/{package['path']}"}
        except (LookupError, TypeError, AttributeError) as error:
            raise UserError(f"{path}: is not a lock of Debian packages: {error}") from error
    return result


def _package(root: Directory, fields: Mapping[str, str], locks: Mapping[Any, Mapping[str, Any]]) -> Package:
    try:
        name, version, architecture = fields["package"], fields["version"], fields["architecture"]
    except KeyError as error:
        raise UserError(f"/{STATUS}: {fields.get('package', 'a package')} has no field {error}") from error
    source = _SOURCE.fullmatch(fields.get("source", name))
    if source is None:
        raise UserError(f"/{STATUS}: {name}: the source {fields['source']!r} is not a name and a version")
    locked = locks.get((name, version, architecture), {})
    licenses = licenses_of(read_text(root, f"usr/share/doc/{name}/copyright"))
    return Package(
        name=name,
        version=version,
        architecture=architecture,
        source=source[1],
        source_version=source[2] or version,
        maintainer=" ".join(fields.get("maintainer", "").split()),
        homepage=fields.get("homepage", ""),
        license=licenses.expression,
        custom_licenses=licenses.custom,
        sha256=locked.get("sha256", ""),
        url=locked.get("url", ""),
    )
