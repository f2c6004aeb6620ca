"""Finds the nodes that may be hard links, with little memory for the others."""

from __future__ import annotations

from collections.abc import Iterable

from tools.tree.node import Directory, Node

_FLAGS = 1 << 24


def possible_hard_links(tops: Iterable[Node]) -> set[Node]:
    """Returns the nodes that have several names in trees, and few others.

    A set of all nodes that were found before would take 32 to 64 bytes for each file. Instead each node sets one of
    16 million bits, which its hash chooses. If the bit is set already, the node may have been found before. Which
    other nodes are in the result depends on their addresses: no output may depend on them.

    Args:
        tops: the roots of the trees, or single nodes.
    """
    flags = bytearray(_FLAGS // 8)
    found: set[Node] = set()
    stack = [tops]
    while stack:
        for node in stack.pop():
            if node in found:
                continue
            index, bit = divmod(hash(node) % _FLAGS, 8)
            if flags[index] >> bit & 1:
                found.add(node)
            flags[index] |= 1 << bit
            if isinstance(node, Directory):
                stack.append(node.entries.values())
    return found
