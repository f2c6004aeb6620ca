"""Nodes are numbered in one order, with the links of hard links and directories."""

import pytest

from tools.core.errors import UserError
from tools.tree.node import Directory, Fifo
from tools.tree.numbering import NumberedNode, name_fault, number_nodes


class Numbered(NumberedNode):
    system = "fs"


def test_numbers_and_links():
    shared = Fifo()
    tree = Directory(
        entries={
            b"b": Directory(entries={b"d": Directory(), b"c": shared}),
            b"a": Directory(entries={b"x": Fifo()}),
            b"s": shared,
        }
    )
    found = number_nodes(tree, Numbered)
    assert [(item.number, item.name, item.links) for item in found.values()] == [
        (1, b"", 4),
        (2, b"a", 2),
        (3, b"b", 3),
        (4, b"s", 2),
        (5, b"x", 1),
        (6, b"d", 2),
    ]
    assert found[tree.entries[b"b"].entries[b"d"]].parent is found[tree.entries[b"b"]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"", "name is empty"),
        (b"x" * 256, "name of 256 bytes is longer than 255"),
        (b"a/b", "name has a slash or a NUL"),
        (b"a\0", "name has a slash or a NUL"),
        (b"..", "name is reserved for a directory itself or its parent"),
    ],
)
def test_names(name, message):
    tree = Directory(entries={b"d": Directory(entries={name: Fifo(origin="//:x")})})
    with pytest.raises(UserError, match=rf"^fs: /d/.* \(from //:x\): {message}$"):
        number_nodes(tree, Numbered)
    assert name_fault(b"x" * 255) == name_fault(b"\xff") == ""


def test_a_directory_has_one_place():
    twice = Directory()
    with pytest.raises(UserError, match=r"^fs: /b: hard link to a directory is not possible$"):
        number_nodes(Directory(entries={b"a": twice, b"b": twice}), Numbered)
