"""What a bill of materials lists, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An installed package.

    Attributes:
        name: of the package.
        version: Debian version, with epoch.
        architecture: of the package; may be `all`.
        source: name of the source package.
        source_version: version of the source package.
        maintainer: as `NAME <ADDRESS>`; empty if unknown.
        homepage: URL of the software; empty if unknown.
        license: SPDX expression of everything in the package, or empty if it has no machine-readable copyright file.
        custom_licenses: text by `LicenseRef-…` for the licenses of the expression that are not in SPDX's list.
        sha256: of the package file, in hexadecimal; empty if no lock has the package.
        url: where the package file is from; empty if no lock has the package.
        parts: names of the parts of the image that have the package.
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    maintainer: str = ""
    homepage: str = ""
    license: str = ""
    custom_licenses: tuple[tuple[str, str], ...] = ()
    sha256: str = ""
    url: str = ""
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnFile:
    """A file that is not as a package has it: added, or changed.

    Attributes:
        path: from the root of its part, with a leading slash; of an image with several parts, after the part's name.
        sha1: in hexadecimal; SPDX 2.3 demands it.
        sha256: in hexadecimal.
        size: in bytes.
    """

    path: str
    sha1: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """The system that packages are of: os-release(5).

    Attributes:
        id: such as `debian`.
        version: such as `13`; empty if it has none.
        name: such as `Debian GNU/Linux`.
    """

    id: str
    version: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """The content of an image.

    Attributes:
        name: of the image.
        version: of the image; may be empty.
        created: time for the formats' field, such as 1970-01-01T00:00:00Z.
        distribution: of the packages.
        packages: in the order of name and architecture.
        files: in the order of paths.
    """

    name: str
    version: str
    created: str
    distribution: Distribution
    packages: tuple[Package, ...]
    files: tuple[OwnFile, ...] = field(default=())


def package_url(package: Package, distribution: Distribution) -> str:
    """Returns the purl of a package (https://github.com/package-url/purl-spec, type deb)."""
    qualifiers = {"arch": package.architecture}
    if distribution.version:
        qualifiers["distro"] = f"{distribution.id}-{distribution.version}"
    if (package.source, package.source_version) != (package.name, package.version):
        qualifiers["upstream"] = package.source
        if package.source_version != package.version:
            qualifiers["upstream"] += f"@{package.source_version}"
    query = "&".join(f"{key}={quote(value, safe='')}" for key, value in sorted(qualifiers.items()))
    name, version = quote(package.name, safe=""), quote(package.version, safe="")
    return f"pkg:deb/{quote(distribution.id, safe='')}/{name}@{version}?{query}"
