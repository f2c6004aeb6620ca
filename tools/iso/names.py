"""Names that ISO 9660 allows, made of others."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tools.iso.descriptors import LABEL_SIZE

_EXTENSION = "IMG"
_MAX_STEM = 30 - len(_EXTENSION)
"""Name and extension have at most 30 characters at the interchange levels 2 and 3 (ECMA-119, 7.5.1)."""

_NOT_ALLOWED = re.compile("[^A-Z0-9_]")
_EMPTY = "PARTITION"


def is_label(text: str) -> bool:
    """Returns whether a text is a volume identifier: 1 to 32 characters A-Z, 0-9 and _ (ECMA-119, 7.4.1 and 8.4.6)."""
    return 0 < len(text) <= LABEL_SIZE and not _NOT_ALLOWED.search(text)


def label_from(name: str) -> str:
    """Returns a volume identifier like a name, such as `DISK` for `disk`."""
    return _allowed(name)[:LABEL_SIZE]


def file_identifiers(names: Sequence[str]) -> list[str]:
    """Returns a distinct identifier of a file for each name, such as `A_ROOT.IMG;1` for `A_root`.

    Letters become upper case, and what is not allowed `_`. Of names that become equal, the second gets `_2` at its end,
    and so on. The result depends only on the names and their order.
    """
    stems = [_allowed(name)[:_MAX_STEM] for name in names]
    used: set[str] = set()
    for index, stem in enumerate(stems):
        number, chosen = 1, stem
        while chosen in used or (number > 1 and chosen in stems):
            number += 1
            chosen = f"{stem[: _MAX_STEM - len(str(number)) - 1]}_{number}"
        used.add(chosen)
        stems[index] = chosen
    return [f"{stem}.{_EXTENSION};1" for stem in stems]


def _allowed(name: str) -> str:
    # Not `str.upper` alone: what that makes of other letters depends on the version of Unicode. Names of files can have
    # bytes that are not UTF-8, which Python has as surrogates.
    upper = name.encode("utf-8", "surrogatepass").upper().decode("utf-8", "surrogatepass")
    return _NOT_ALLOWED.sub("_", upper) or _EMPTY
