import pytest
from hypothesis import Phase, given, settings

from tools.testing.trees import trees
from tools.tree.compare import differences
from tools.tree.node import NAME_MAX, Device, Directory, Fifo, File, Socket, Symlink, walk

FEATURES = {
    "file": lambda path, node: isinstance(node, File),
    "file with two extents": lambda path, node: isinstance(node, File) and len(node.content.extents) > 1,
    "file of several blocks": lambda path, node: isinstance(node, File) and node.content.size > 8192,
    "empty file": lambda path, node: isinstance(node, File) and node.content.size == 0,
    "setuid": lambda path, node: isinstance(node, File) and node.permissions & 0o4000,
    "capability": lambda path, node: b"security.capability" in node.xattrs,
    "directory below a directory": lambda path, node: isinstance(node, Directory) and b"/" in path,
    "symbolic link": lambda path, node: isinstance(node, Symlink) and len(node.target) == 60,
    "device": lambda path, node: isinstance(node, Device),
    "named pipe": lambda path, node: isinstance(node, Fifo),
    "socket": lambda path, node: isinstance(node, Socket),
    "time before 1970": lambda path, node: node.mtime_ns < 0 and node.mtime_ns % 10**9,
    "longest name": lambda path, node: len(path.rpartition(b"/")[2]) == NAME_MAX,
    "name that is not UTF-8": lambda path, node: b"\xff" in path,
}


@pytest.fixture(scope="module")
def sample():
    drawn = []

    @settings(deadline=None, derandomize=True, max_examples=200, database=None, phases=[Phase.generate])
    @given(trees())
    def draw(tree):
        drawn.append(tree)

    draw()
    return drawn


@pytest.mark.parametrize("feature", FEATURES)
def test_has_nodes_of_every_kind(sample, feature):
    assert any(FEATURES[feature](path, node) for tree in sample for path, node in walk(tree))


def test_has_hard_links(sample):
    found = [[node for _, node in walk(tree)] for tree in sample]
    assert any(len(nodes) > len(set(nodes)) for nodes in found)


@settings(deadline=None, derandomize=True, max_examples=30)
@given(trees(sockets=False, xattr_space=0, times=(0, 10**9), most=100, nodes=10))
def test_keeps_to_its_limits(tree):
    for _, node in walk(tree):
        assert not isinstance(node, Socket)
        assert not node.xattrs
        assert 0 <= node.mtime_ns <= 10**9
        assert not isinstance(node, File) or node.content.size <= 100


@settings(deadline=None, derandomize=True, max_examples=30)
@given(trees())
def test_a_tree_equals_itself(tree):
    assert not list(differences(tree, tree))
