"""Checks that imports between the rooms of the repository run one way: a lint program over Python files.

A room is a folder of Python files with one subject. A file may import its own room and the rooms on lower floors. Test
code (files named `*_test.py`, and the folders in TEST_FOLDERS) may import every room; only test code imports
`tools.testing`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

FLOORS: Sequence[Sequence[str]] = (
    ("bench", "dev", "guestos_tools", "third_party", "tools.completion"),
    ("tools.commands",),
    ("tools.inspect",),
    ("tools.ext4", "tools.fat", "tools.initramfs", "tools.rootfs", "tools.vm"),
    ("tools.ext4.format", "tools.tree"),
    ("tools.tar",),
    ("tools.gpt", "tools.upgrade", "tools.verity"),
    ("tools.image",),
    ("tools.debian",),
    ("tools.core",),
)
"""The rooms, the highest floor first. Rooms on one floor don't import each other."""

TEST_FOLDERS = ("ic-os/guestos/tests/", "tests/", "tools/testing/")
"""Folders that hold test code alone."""

_TEST_ROOM = "tools.testing"

_PRODUCT = PurePosixPath("ic-os/guestos/tools")
"""A folder that is an import root: `ic-os/guestos/tools/guestos_tools/a.py` is the module `guestos_tools.a`."""


def module_of(path: str) -> str:
    """Returns the name by which a file is imported.

    Args:
        path: of the file, relative to the checkout.
    """
    file = PurePosixPath(path)
    if file.is_relative_to(_PRODUCT):
        file = file.relative_to(_PRODUCT)
    return ".".join(file.with_suffix("").parts)


def floor_of(module: str) -> tuple[str, int] | None:
    """Returns the room of a module and the index of its floor; None for a module of no room, such as a library's."""
    rooms = [(room, floor) for floor, names in enumerate(FLOORS) for room in names]
    found = [(room, floor) for room, floor in rooms if f"{module}.".startswith(f"{room}.")]
    return max(found, key=lambda pair: len(pair[0]), default=None)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yields the line and the module of every import in a file's text, also of those inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def is_test_code(path: str) -> bool:
    """Returns whether a file holds test code."""
    return path.endswith("_test.py") or path.startswith(TEST_FOLDERS)


def violations(path: str, source: str) -> Iterator[str]:
    """Yields a line for every import of a file that the floors forbid.

    Args:
        path: of the file, relative to the checkout.
        source: its text.
    """
    if is_test_code(path):
        return
    own = floor_of(module_of(path))
    found = set()
    for line, module in imports(source):
        other = floor_of(module)
        if f"{module}.".startswith(f"{_TEST_ROOM}."):
            found.add((line, f"imports {_TEST_ROOM}, which is for tests alone"))
        elif module.startswith("tools.") and other is None:
            found.add((line, f"imports {module}, whose room is on no floor; add the room to dev/lint/imports.py"))
        elif own and other and own[0] != other[0] and own[1] >= other[1]:
            found.add((line, f"{own[0]} imports {other[0]}, which is not on a lower floor; see dev/lint/imports.py"))
    yield from (f"{path}:{line}: {message}" for line, message in sorted(found))


def main(paths: Sequence[str]) -> int:
    """Prints the violations in files; returns the exit status, 1 if there are any."""
    found = [line for path in paths for line in violations(path, Path(path).read_text(encoding="utf-8"))]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
