"""The report on an image: sizes of its volumes, packages and files, and files with special rights; from and to JSON."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from typing import Any

from tools.core.errors import UserError
from tools.core.json_spec import build, read_object

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeUsage:
    """A partition of a disk, a member of an archive, or the image itself. All sizes are in bytes.

    Attributes:
        name: of the partition or member; empty for an image that is one volume.
        number: of the partition; 0 for others.
        holds: `EROFS`, `ext4`, `FAT12`, `FAT16`, `FAT32`, `SquashFS`, `swap`, `data` or `empty`.
        size: of the volume.
        data: what is not a hole; the sum of `files`, `after` and `other`.
        files: contents of files, as they are stored.
        after: what follows the file system, such as a hash tree of dm-verity.
        other: structures of the file system and the rest of the last blocks of files; of a volume without files, its
            data.
        compressed: contents of files, each one compressed by itself, and data of a volume without files.
    """

    name: str
    number: int = 0
    holds: str
    size: int
    data: int
    files: int = 0
    after: int = 0
    other: int
    compressed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileUsage:
    """A regular file.

    Attributes:
        path: from the root of its volume, after the volume's name and a colon if it has one.
        size: in bytes.
        data: what is not a hole, in bytes.
        compressed: size of the data, compressed by zstd at its default level, in bytes.
        sha256: of the content, in hexadecimal.
        links: number of its names; the report has the first one.
        package: name of the package that it is from; empty for other files.
        layer: label of the target that put it into the root tree; empty if unknown.
    """

    path: str
    size: int
    data: int
    compressed: int
    sha256: str
    links: int = 1
    package: str = ""
    layer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageUsage:
    """An installed package, and what its files take.

    Attributes:
        name: of the package; empty for the files that are in no package.
        version: of the package.
        architecture: of the package.
        source: name of the source package.
        license: SPDX expression; empty if unknown.
        url: where the package file is from; empty if unknown.
        sha256: of the package file, in hexadecimal; empty if unknown.
        count: number of its files.
        data: of its files, in bytes.
        compressed: of its files, in bytes.
    """

    name: str
    version: str = ""
    architecture: str = ""
    source: str = ""
    license: str = ""
    url: str = ""
    sha256: str = ""
    count: int = 0
    data: int = 0
    compressed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecialRights:
    """A file or directory with rights that few should have.

    Attributes:
        path: as of `FileUsage`.
        type: `file`, `dir` and others, as mtree(5) has them.
        mode: octal.
        uid: user ID.
        gid: group ID.
        rights: `setuid`, `setgid`, `world-writable`, or a capability such as `cap_net_raw=ep`.
    """

    path: str
    type: str
    mode: str
    uid: int
    gid: int
    rights: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The report on an image.

    Attributes:
        name: of the image.
        size: in bytes.
        data: what is not a hole, in bytes.
        outside: data outside of all volumes, such as the partition table, in bytes.
        compressed: sum of the volumes, in bytes.
        volumes: in the order of their places.
        packages: in the order of their names.
        files: in the order of volumes and paths.
        rights: in the order of volumes and paths.
    """

    format: int = FORMAT
    name: str
    size: int
    data: int
    outside: int = 0
    compressed: int
    volumes: tuple[VolumeUsage, ...]
    packages: tuple[PackageUsage, ...]
    files: tuple[FileUsage, ...]
    rights: tuple[SpecialRights, ...]

    def to_json(self) -> str:
        """Returns the report as JSON, with a line for each entry."""
        lines = []
        for key, value in dataclasses.asdict(self).items():
            if isinstance(value, tuple):
                rows = ",\n".join(f"  {_line(row)}" for row in value)
                lines.append(f"{_line(key)}: [\n{rows}\n ]" if rows else f"{_line(key)}: []")
            else:
                lines.append(f"{_line(key)}: {_line(value)}")
        return "{\n " + ",\n ".join(lines) + "\n}\n"


def _line(value: Any) -> str:
    return json.dumps(value)


def read_usage(path: str | os.PathLike[str]) -> Usage:
    """Returns the report in a JSON file.

    Raises:
        UserError: the file can't be read, or is no such report.
    """
    origin = os.fspath(path)
    values = read_object(path)
    if values.get("format") != FORMAT:
        raise UserError(f"{origin}: format: must be {FORMAT}; give a report that image_report writes")
    return build(Usage, values, lambda key: f"{origin}: {key}")
