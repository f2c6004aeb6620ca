"""The parameters of a file system."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tools.core.errors import UserError
from tools.erofs.format import BLOCK_SIZE

_MAX_LABEL = 15
_MAX_SIZE = (2**32 - 1) * BLOCK_SIZE


@dataclass(frozen=True, slots=True, kw_only=True)
class ErofsOptions:
    """The parameters of a file system; options of mkfs.erofs(1) are in parentheses.

    Attributes:
        uuid: the file system's UUID (-U).
        label: the volume label, at most 15 bytes of UTF-8 (-L): the kernel wants a NUL after it.
        size: size of the file system in bytes, a multiple of 4096; by default as large as the tree needs. What the
            tree doesn't need is a hole at the end.
    """

    uuid: UUID
    label: str = ""
    size: int | None = None

    def __post_init__(self) -> None:
        """Checks the parameters.

        Raises:
            UserError: one is out of its range.
        """
        if len(self.label.encode()) > _MAX_LABEL or "\0" in self.label:
            raise UserError(f"erofs: label {self.label!r} is longer than {_MAX_LABEL} bytes, or has a NUL")
        if self.size is not None and (not 0 < self.size <= _MAX_SIZE or self.size % BLOCK_SIZE):
            raise UserError(
                f"erofs: size {self.size} is not a positive multiple of {BLOCK_SIZE} bytes, up to {_MAX_SIZE}"
            )
