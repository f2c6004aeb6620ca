"""Reads the command line in a unified kernel image: a PE file, whose section `.cmdline` has it."""

from __future__ import annotations

from guestos import pe
from guestos.errors import ImageError

_COMMAND_LINE = b".cmdline"


def arguments(image: bytes) -> list[str]:
    """Returns the arguments of the kernel in an image, whose signatures are verified by who starts it.

    Raises:
        ImageError: it is not a PE file, or not exactly one of its sections has a command line.
    """
    found = [image[each.place : each.place + each.size] for each in pe.sections(image) if each.name == _COMMAND_LINE]
    if len(found) != 1:
        raise ImageError(f"has {len(found)} command lines, and not one")
    return found[0].decode(errors="replace").split()
