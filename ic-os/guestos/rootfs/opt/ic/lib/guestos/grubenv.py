"""GRUB's environment block: a file of 1024 bytes with one variable a line, padded with `#`.

Format: GNU GRUB manual 2.12, section 15.4 "The GRUB environment block"; grub-core/lib/envblk.c. GRUB writes the file in
place, sector by sector, without the help of a file system, so its size must never change. All variables stand in the
first sector, which a disk writes as a whole or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from guestos import durable
from guestos.errors import GuestError

SIZE = 1024
SECTOR = 512

_SIGNATURE = b"# GRUB Environment Block\n"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUE = re.compile(r"[A-Za-z0-9_.,:=+ -]*")
"""What is written: nothing that GRUB, or a shell, could read as more than text."""


def parse(data: bytes) -> dict[str, str]:
    """Returns the variables of an environment block.

    Args:
        data: the content of the file.

    Raises:
        GuestError: it is not an environment block.
    """
    if not data.startswith(_SIGNATURE):
        raise GuestError("not a GRUB environment block: it does not begin with the signature")
    variables: dict[str, str] = {}
    for line in data[len(_SIGNATURE) :].split(b"\n"):
        if line.startswith(b"#"):
            continue
        name, equals, value = line.partition(b"=")
        if equals:
            variables[name.decode(errors="replace")] = value.decode(errors="replace")
    return variables


def serialize(variables: Mapping[str, str]) -> bytes:
    """Returns the content of the file that holds the variables.

    Raises:
        GuestError: a name or value has characters that are never written, or there are too many.
    """
    lines = [_SIGNATURE]
    for name, value in sorted(variables.items()):
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise GuestError(f"{name}={value!r}: cannot be stored in a GRUB environment block")
        lines.append(f"{name}={value}\n".encode())
    data = b"".join(lines)
    if len(data) > SECTOR:
        raise GuestError(f"{len(data)} bytes of variables do not fit in a sector of a GRUB environment block")
    return data.ljust(SIZE, b"#")


def read(path: str) -> dict[str, str]:
    """Returns the variables in a file.

    Raises:
        GuestError: it cannot be read, or it is not an environment block.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) != SIZE:
        raise GuestError(f"{path}: has not the {SIZE} bytes of a GRUB environment block")
    try:
        return parse(data)
    except GuestError as error:
        raise GuestError(f"{path}: {error}") from error


def write(path: str, variables: Mapping[str, str]) -> None:
    """Replaces the variables in a file, in place; they are on the disk when this returns.

    Raises:
        GuestError: it cannot be written.
    """
    data = serialize(variables)
    try:
        # Not truncated first: a power cut then would leave an empty file.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.pwrite(descriptor, data, 0)
            os.ftruncate(descriptor, SIZE)
            os.fsync(descriptor)
            stored = os.pread(descriptor, SIZE + 1, 0)
        finally:
            os.close(descriptor)
        durable.sync_folder(os.path.dirname(os.path.abspath(path)))
    except OSError as error:
        raise GuestError(f"{path}: cannot be written: {error.strerror}") from error
    if stored != data:
        raise GuestError(f"{path}: holds something else than was written")
