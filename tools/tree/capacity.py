"""The error of a tree that doesn't fit in a file system."""

from __future__ import annotations

from tools.core.errors import UserError
from tools.core.text import human_size


class CapacityError(UserError):
    """A tree that doesn't fit in a file system of the requested size.

    Attributes:
        size: of a file system that it fits in, in bytes.
    """

    def __init__(self, problem: str, size: int, details: str = "") -> None:
        """Makes an error.

        Args:
            problem: what does not fit in what.
            size: see the attribute.
            details: what else helps to choose between a larger file system and a smaller tree.
        """
        self._problem = problem
        self._details = details
        self.size = size
        super().__init__(self._message("make the file system"))

    def at(self, where: str) -> UserError:
        """Returns the error for a person who sets the size elsewhere.

        Args:
            where: what sets it, such as `//app:disk: root_files_size`.
        """
        return UserError(f"{where}: {self._message('set it to')}")

    def _message(self, remedy: str) -> str:
        details = f"; {self._details}" if self._details else ""
        return (
            f"{self._problem}; {remedy} at least {self.size} bytes ({human_size(self.size)}), or make the tree smaller"
            + details
        )
