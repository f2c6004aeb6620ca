"""Random trees, checked and extracted by fsck.erofs, and read back."""

import shutil
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings

from tools.erofs.writer import write_erofs
from tools.image.extents import Image
from tools.testing.erofs_images import OPTIONS, assert_holds, fsck
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.testing.trees import trees
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, File, walk


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(trees(most=70000))
def test_random_tree(folder, tree):
    image = write_erofs(tree, OPTIONS)
    fsck(image, folder / "image")
    assert_holds(image, tree)


def extractable(tree):
    """Returns the tree without devices, which only root can make, and without holes, which erofs-utils 1.5 forgets."""
    for _, node in walk(tree):
        node.permissions |= 0o700
        if isinstance(node, Directory):
            node.entries = {name: child for name, child in node.entries.items() if not isinstance(child, Device)}
        elif isinstance(node, File):
            node.content = Image.from_bytes(node.content.read(0, node.content.size))
    return tree


NUMBERS = count()
SEEN_FIELDS = ("path", "type", "size", "content", "target")


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(trees(most=70000).map(extractable))
def test_extracted_tree(folder, tree):
    path = fsck(write_erofs(tree, OPTIONS), folder / "image")
    place = folder / f"extracted-{next(NUMBERS)}"
    ask("fsck.erofs", f"--extract={place}", "--no-preserve", path)
    assert [str(each) for each in differences(tree, read_folder(place)) if each.field in SEEN_FIELDS] == []
    shutil.rmtree(place)
