from tools.image.extents import Image
from tools.tree.hard_links import possible_hard_links
from tools.tree.node import Directory, Fifo, File


def test_nodes_with_several_names():
    one, other = File(content=Image(0)), Fifo()
    tree = Directory(entries={b"a": one, b"b": Directory(entries={b"a": one, b"c": other})})
    files = {b"%d" % number: Fifo() for number in range(1000)}
    more = Directory(entries={**files, b"d": other})
    found = possible_hard_links([tree, more])
    assert {one, other} <= found
    assert len(found) < 100
    assert one not in possible_hard_links([more])


def test_directory_in_itself():
    tree = Directory()
    tree.entries[b"tree"] = tree
    assert possible_hard_links([tree]) == {tree}
