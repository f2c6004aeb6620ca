"""Writes which layer of the root tree each path of an image is from, as JSON for `image_which` and `image_report`.

The object has a key for each partition or member, or an empty one for an image that is one tree. Below it are the
layers, by the targets that made them, with lists of the paths that they are the last to bring.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from tools.commands.sbom import Part
from tools.core.cli import argument, run
from tools.core.json_spec import OutputName
from tools.core.outputs import replacing, write_all
from tools.rootfs.assemble import assemble
from tools.tree.compare import printable
from tools.tree.node import Directory, walk


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    parts: tuple[Part, ...] = argument(
        'the root trees, as [{"name": "A_root", "tree": …}] with the specification of tools/rootfs/tree_spec.py; of an '
        "image that is one tree, the name is empty"
    )
    output: OutputName = argument("the file to write")


def paths_by_layer(root: Directory) -> dict[str, list[str]]:
    """Returns the paths of a tree by the layer that they are from."""
    result: dict[str, list[str]] = {}
    for path, node in walk(root):
        result.setdefault(node.origin, []).append(printable(path))
    return result


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    layers = {part.name: paths_by_layer(assemble(part.tree, part.name or "the tree")) for part in arguments.parts}
    with replacing(arguments.output) as fd:
        write_all(fd, (json.dumps(layers, indent=1, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
