from tools.testing.small_trees import layer
from tools.tree.metadata import all_nodes, clamp_times, set_owner, set_times


def test_reaches_every_node():
    root = layer("test", "a/b/c = 1", "d -> e").root
    assert len(list(all_nodes(root))) == 5
    set_times(root, 7)
    set_owner(root, 1, 2)
    assert {(node.mtime_ns, node.uid, node.gid) for node in all_nodes(root)} == {(7, 1, 2)}


def test_clamps_only_what_is_later():
    root = layer("test", "a = 1", "b = 1").root
    root.entries[b"a"].mtime_ns, root.entries[b"b"].mtime_ns = 5, 15
    clamp_times(root, 10)
    assert [node.mtime_ns for node in root.entries.values()] == [5, 10]
