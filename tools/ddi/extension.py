"""Checks the trees of extension images for systemd, and writes what identifies them.

See https://uapi-group.org/specifications/specs/extension_image/, systemd-sysext(8), and os-release(5) for the format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.tree.compare import printable
from tools.tree.node import Directory, walk


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of extension images.

    Attributes:
        name: as systemd calls it.
        folders: names in the root, whose content it adds to that of the system.
        level: name of the field with the level of the system that it needs.
    """

    name: str
    folders: tuple[bytes, ...]
    level: str


KINDS = {
    kind.name: kind
    for kind in (
        Kind("sysext", (b"usr", b"opt"), "SYSEXT_LEVEL"),
        Kind("confext", (b"etc",), "CONFEXT_LEVEL"),
    )
}

_OS_RELEASE = {b"usr/lib/os-release", b"etc/os-release"}


def check_tree(kind: Kind, root: Directory) -> None:
    """Checks that a tree has only what an extension of a kind may have.

    Raises:
        UserError: it has nothing, a path outside of the folders of the kind, or a file that is the system's own.
    """
    if not root.entries:
        raise UserError(f"is empty; a {kind.name} has files in {_folders(kind)}")
    for path in _outside(kind, root):
        raise UserError(
            f"{printable(path)} is not in {_folders(kind)}, all that a {kind.name} extends; move it, or leave it out "
            "by strip_paths"
        )
    for path, _ in walk(root):
        if path in _OS_RELEASE:
            raise UserError(
                f"{printable(path)} names the system itself, which a {kind.name} must not; leave it out by strip_paths"
            )


def _folders(kind: Kind) -> str:
    return " and ".join(printable(folder) for folder in kind.folders)


def _outside(kind: Kind, root: Directory) -> Iterator[bytes]:
    """Yields the paths that are not in the kind's folders; directories only if they are empty."""
    for path, node in walk(root):
        top = path.split(b"/")[0]
        if not path or (isinstance(node, Directory) and node.entries):
            continue
        if top not in kind.folders or (path == top and not isinstance(node, Directory)):
            yield path


def release_text(fields: Mapping[str, str]) -> str:
    """Returns the text of a release file.

    Args:
        fields: values by the names of fields, in their order; those without a value are left out. Values have no
            characters that have to be quoted.
    """
    return "".join(f"{name}={value}\n" for name, value in fields.items() if value)
