"""Checks the layers of Python packages: imports must go from higher layers to lower ones.

A module may import its own package and packages of lower layers. Test code (files named `*_test.py`, and the
directories in TEST_FOLDERS) may import all packages; only test code may import `tools.testing`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

LAYERS: Sequence[Sequence[str]] = (
    ("testnet",),
    ("bench", "dev", "guestos_tools", "third_party", "tools.completion"),
    ("tools.commands",),
    ("tools.report",),
    ("tools.inspect",),
    (
        "tools.ddi",
        "tools.erofs",
        "tools.ext4",
        "tools.fat",
        "tools.grub",
        "tools.initramfs",
        "tools.oci",
        "tools.rootfs",
        "tools.sbom",
        "tools.squashfs",
        "tools.uefi",
        "tools.vm",
    ),
    ("tools.ext4.format", "tools.pieces", "tools.tree"),
    ("tools.tar",),
    (
        "tools.elf",
        "tools.gpt",
        "tools.iso",
        "tools.pe",
        "tools.swap",
        "tools.upgrade",
        "tools.verity",
        "tools.virtual_disk",
    ),
    ("tools.image",),
    ("tools.debian",),
    ("tools.ab_system", "tools.core"),
)
"""The packages of each layer, from the highest layer to the lowest. Packages of one layer don't import each other."""

TEST_FOLDERS = ("ic-os/guestos/tests/", "testnet/tests/", "tests/", "tools/testing/")
"""Directories with only test code."""

_TEST_PACKAGE = "tools.testing"

_PRODUCT = PurePosixPath("ic-os/guestos/tools")
"""An import root: `ic-os/guestos/tools/guestos_tools/a.py` is the module `guestos_tools.a`."""


def module_of(path: str) -> str:
    """Returns the module name of a file.

    Args:
        path: path of the file, relative to the checkout.
    """
    file = PurePosixPath(path)
    if file.is_relative_to(_PRODUCT):
        file = file.relative_to(_PRODUCT)
    return ".".join(file.with_suffix("").parts)


def layer_of(module: str) -> tuple[str, int] | None:
    """Returns the package of a module and the index of its layer; None for modules of libraries."""
    packages = [(package, layer) for layer, names in enumerate(LAYERS) for package in names]
    found = [(package, layer) for package, layer in packages if f"{module}.".startswith(f"{package}.")]
    return max(found, key=lambda pair: len(pair[0]), default=None)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yields (line, module) for all imports in source code, including those in functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield from ((node.lineno, f"{node.module}.{name.name}") for name in node.names)


def is_test_code(path: str) -> bool:
    """Returns whether a file is test code."""
    return path.endswith("_test.py") or path.startswith(TEST_FOLDERS)


def violations(path: str, source: str) -> Iterator[str]:
    """Yields a message for each import of a file that violates the layers.

    Args:
        path: path of the file, relative to the checkout.
        source: content of the file.
    """
    if is_test_code(path):
        return
    own = layer_of(module_of(path))
    found = set()
    for line, module in imports(source):
        other = layer_of(module)
        if f"{module}.".startswith(f"{_TEST_PACKAGE}."):
            found.add((line, f"imports {_TEST_PACKAGE}, which is only for tests"))
        elif module.startswith("tools.") and other is None:
            found.add((line, f"imports {module}, whose package is in no layer; add it to dev/lint/imports.py"))
        elif own and other and own[0] != other[0] and own[1] >= other[1]:
            found.add((line, f"{own[0]} imports {other[0]}, which is not in a lower layer; see dev/lint/imports.py"))
    yield from (f"{path}:{line}: {message}" for line, message in sorted(found))


def main(paths: Sequence[str]) -> int:
    """Prints the violations in files; returns the exit status: 1 if there are any, else 0."""
    found = [line for path in paths for line in violations(path, Path(path).read_text(encoding="utf-8"))]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
