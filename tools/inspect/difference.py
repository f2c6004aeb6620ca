"""One difference between two images, archives or files, and its forms for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any

from tools.core.text import escaped

PRESENCE = "presence"
"""The field of what only one side has; the value is what it is, such as `file`."""

CONTENT = "content"
"""The field of bytes; the values are the first byte that differs, at `offset`."""

UNREADABLE = "unreadable"
"""The field of what cannot be compared in detail; `note` says why."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which two things differ.

    Attributes:
        where: from the outside in: an output, the member of an archive, the partition of a disk, a path; bytes that
            are not UTF-8 stand in it as `surrogateescape` makes them.
        field: what differs, such as `permissions` or `size`; or PRESENCE, CONTENT, UNREADABLE.
        left: the value on the left, in words; None where there is none.
        right: the value on the right.
        offset: of the first byte that differs, for CONTENT.
        note: what else there is to say.
        text: a unified diff without its header, where both contents are small texts.
    """

    where: tuple[str, ...]
    field: str
    left: str | None = None
    right: str | None = None
    _: KW_ONLY
    offset: int | None = None
    note: str = ""
    text: tuple[str, ...] = ()

    def __str__(self) -> str:
        values = f"{self.left or 'none'} / {self.right or 'none'}"
        match self.field:
            case "presence":
                words = f"only in the {'right' if self.left is None else 'left'}"
                note = self.left if self.right is None else self.right
            case "content":
                words, note = f"byte {self.offset}: {values}", self.note
            case "unreadable":
                words, note = f"cannot be compared in detail: {self.note}", ""
            case _:
                words, note = f"{self.field}: {values}", self.note
        return escaped(": ".join((*self.where, words)) + (f" ({note})" if note else ""))

    def lines(self) -> Iterator[str]:
        """Yields the lines that a person reads: the difference, and the diff of texts below it."""
        yield str(self)
        for line in self.text:
            yield "    " + "\t".join(map(escaped, line.split("\t")))

    def to_json(self) -> dict[str, Any]:
        """Returns the form for machines, which always has all keys."""
        return {
            "where": list(self.where),
            "field": self.field,
            "left": self.left,
            "right": self.right,
            "offset": self.offset,
            "note": self.note or None,
            "text": list(self.text),
        }


def presence(where: tuple[str, ...], kind: str, *, on_left: bool) -> Difference:
    """Returns the difference of what only one side has, and which is of a kind such as `file`."""
    return Difference(where, PRESENCE, *((kind, None) if on_left else (None, kind)))
