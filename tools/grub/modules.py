"""GRUB's modules: their dependencies, and the section of a program that has modules and files in it.

The section begins with a header (`grub_module_info64` in GRUB's include/grub/kernel.h); objects follow, each with its
type and size. GRUB loads modules in their order when it starts.
"""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Mapping, Sequence

from tools.core.errors import UserError

MODULE, MEMORY_DISK, CONFIGURATION, PREFIX, PUBLIC_KEY, DISABLE_SHIM_LOCK = 0, 1, 2, 3, 4, 6
"""Types of objects in GRUB 2.12. From 2.14 on the last one is 7."""

_HEADER = struct.Struct("<IIQQ")
_OBJECT = struct.Struct("<II")
_MAGIC = 0x676D696D
_ALIGNMENT = 8
_BLOCK = 512


def read_dependencies(text: str, origin: str) -> dict[str, list[str]]:
    """Returns the modules that each module needs, from GRUB's file moddep.lst.

    Raises:
        UserError: a line is not `MODULE: MODULE…`.
    """
    result = {}
    for number, line in enumerate(text.splitlines(), 1):
        name, colon, needed = line.partition(":")
        if not colon or not name.strip():
            raise UserError(f"{origin}:{number}: is not a line MODULE: MODULES")
        result[name.strip()] = needed.split()
    return result


def in_order(wanted: Sequence[str], dependencies: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns modules and all that they need; each comes after those that it needs.

    Raises:
        UserError: there is no such module.
    """
    order: dict[str, None] = {}

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in order:
            return
        if name not in dependencies or name in path:
            raise UserError(f"modules: {name!r} is not a module of this GRUB, or needs itself")
        for needed in dependencies[name]:
            add(needed, (*path, name))
        order[name] = None

    for name in wanted:
        add(name, ())
    return list(order)


def memory_disk(files: Mapping[str, bytes]) -> bytes:
    """Returns a tar for GRUB's memory disk, which its module tar reads."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return output.getvalue()


def section(objects: Sequence[tuple[int, bytes]]) -> bytes:
    """Returns the section with objects, given as types and contents."""
    body = b""
    for kind, content in objects:
        padded = content + bytes(-len(content) % (_BLOCK if kind == MEMORY_DISK else _ALIGNMENT))
        body += _OBJECT.pack(kind, _OBJECT.size + len(padded)) + padded
    return _HEADER.pack(_MAGIC, 0, _HEADER.size, _HEADER.size + len(body)) + body
