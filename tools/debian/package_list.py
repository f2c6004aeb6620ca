"""Reads lists of binary packages (`Packages`).

See https://wiki.debian.org/DebianRepository/Format, "Packages" indices; a stanza is that of deb-control(5).
"""

from __future__ import annotations

import gzip
import hashlib
import lzma
import re
import zlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tools.core.errors import UserError

_FIELDS = {"package", "version", "architecture", "filename", "sha256", "size"}


@dataclass(frozen=True, slots=True)
class ListedPackage:
    """A package of a list; `size` is in bytes, `sha256` in hexadecimal, `path` relative to the archive."""

    name: str
    version: str
    architecture: str
    path: str
    sha256: str
    size: int


def read_package_list(path: Path, names: Collection[str]) -> Iterator[ListedPackage]:
    """Yields the packages with one of the names.

    Args:
        path: the list, which may be compressed by xz or gzip; its content has been verified.
        names: names of the packages.

    Raises:
        UserError: the file can't be read.
    """
    try:
        with path.open("rb") as file:
            for fields in _stanzas(_decompressed(file)):
                if fields.get("package") in names:
                    yield _package(fields, path)
    except (OSError, EOFError, lzma.LZMAError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as a list of packages: {error}") from error


def _decompressed(file: IO[bytes]) -> Iterable[bytes]:
    start = file.read(6)
    file.seek(0)
    if start == b"\xfd7zXZ\0":
        return lzma.LZMAFile(file)
    if start.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    return file


def _stanzas(lines: Iterable[bytes]) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line == b"\n":
            yield fields
            fields = {}
        elif line[:1] not in b" \t":
            name, _, value = line.partition(b":")
            if (key := name.decode().lower()) in _FIELDS:
                fields[key] = value.decode().strip()
    yield fields


def _package(fields: dict[str, str], path: Path) -> ListedPackage:
    if missing := sorted(_FIELDS - fields.keys()):
        raise UserError(f"{path}: {fields['package']} has no field {missing[0]}; use another mirror")
    if not re.fullmatch("[0-9]{1,18}", fields["size"], re.ASCII):
        raise UserError(f"{path}: {fields['package']} has the invalid size {fields['size'][:40]!r}; use another mirror")
    return ListedPackage(
        fields["package"], fields["version"], fields["architecture"], fields["filename"], fields["sha256"].lower(),
        int(fields["size"]),
    )  # fmt: skip


def sha256_by_file(paths: Iterable[Path]) -> dict[str, Path]:
    """Returns files by their SHA-256 in hexadecimal.

    Raises:
        UserError: a file can't be read.
    """
    result = {}
    for path in paths:
        try:
            with path.open("rb") as file:
                result[hashlib.file_digest(file, "sha256").hexdigest()] = path
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    return result
