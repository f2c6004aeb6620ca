"""GRUB environment block: a file of 1024 bytes with one variable per line, padded with `#`.

Format: GNU GRUB manual 2.12, section 15.4 "The GRUB environment block"; grub-core/lib/envblk.c. GRUB overwrites the
sectors of the file in place and cannot allocate new ones, so the size must never change. All variables are in the
first sector, which a disk writes atomically.
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
"""The values that are written: only characters that neither GRUB nor a shell interprets."""


def parse(data: bytes) -> dict[str, str]:
    """Returns the variables of an environment block.

    Args:
        data: the content of the file.

    Raises:
        GuestError: the signature of an environment block is missing.
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
    """Returns the content of an environment block with the variables.

    Raises:
        GuestError: a name or value has a character that is not allowed, or the variables do not fit in one sector.
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
        GuestError: the file cannot be read, or is not an environment block.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE + 1)
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) != SIZE:
        raise GuestError(f"{path}: is not a GRUB environment block, which has exactly {SIZE} bytes")
    try:
        return parse(data)
    except GuestError as error:
        raise GuestError(f"{path}: {error}") from error


def write(path: str, variables: Mapping[str, str]) -> None:
    """Replaces the variables in a file, in place, and fsyncs the file and its directory.

    Raises:
        GuestError: the file cannot be written, or reads back differently.
    """
    data = serialize(variables)
    try:
        # Without O_TRUNC: after a power cut the file would be empty.
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
        raise GuestError(f"{path}: reads back differently from what was written")
