"""Creates small trees from text, for tests."""

from __future__ import annotations

from collections.abc import Iterator

from tools.image.extents import Image
from tools.tree.compare import type_name
from tools.tree.layer import Layer
from tools.tree.node import Directory, File, Node, Symlink, walk
from tools.tree.paths import components


def layer(label: str, *lines: str) -> Layer:
    """Creates a layer.

    Args:
        label: label of the layer.
        lines: `path/` or `path/ 1777` for a directory, `path -> target` for a symbolic link, `path = content` for a
            file; the root is `/`.
    """
    result = Layer.empty(label)
    for line in lines:
        path, _, rest = line.partition(" ")
        result.add(components(path), _node(path, rest))
    return result


def _node(path: str, rest: str) -> Node:
    if path.endswith("/"):
        return Directory(permissions=int(rest or "755", 8))
    sign, _, value = rest.partition(" ")
    if sign == "->":
        return Symlink(target=value.encode())
    assert sign == "=", rest
    return File(content=Image.from_bytes(value.encode()))


def listing(root: Directory) -> list[str]:
    """Returns the lines from which `layer` creates a tree, without the root."""
    return list(_lines(root))


def _lines(root: Directory) -> Iterator[str]:
    for path, node in walk(root):
        name = path.decode(errors="backslashreplace")
        match node:
            case Directory():
                if path:
                    yield f"{name}/" + (f" {node.permissions:o}" if node.permissions != 0o755 else "")
            case Symlink():
                yield f"{name} -> {node.target.decode()}"
            case File():
                yield f"{name} = {node.content.read(0, node.content.size).decode()}"
            case _:
                yield f"{name}: {type_name(node)}"
