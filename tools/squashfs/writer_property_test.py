"""Random trees, listed and extracted by unsquashfs, and read back."""

import shutil
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.squashfs.options import SquashfsOptions
from tools.squashfs.writer import write_squashfs
from tools.testing.folders import read_folder
from tools.testing.raw import write_raw
from tools.testing.squashfs_images import BLOCK, TIMES, assert_holds, extracted, listing
from tools.testing.trees import trees
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, walk

SECOND = 10**9
NUMBERS = count()
SEEN_FIELDS = ("path", "type", "size", "content", "target", "links", "mtime")


def in_seconds(tree):
    """Returns the tree with times in whole seconds: SquashFS has no others."""
    for _, node in walk(tree):
        node.mtime_ns -= node.mtime_ns % SECOND
    return tree


TREES = trees(most=9 * BLOCK, times=TIMES).map(in_seconds)
OPTIONS = st.builds(
    SquashfsOptions,
    compression=st.sampled_from(["zstd", "gzip", "none"]),
    block_size=st.sampled_from([BLOCK, 2 * BLOCK, 1 << 20]),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("images")


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, OPTIONS)
def test_random_tree(folder, tree, options):
    image = write_squashfs(tree, options, threads=1)
    assert_holds(image, tree)
    write_raw(image, folder / "image")
    listing(folder / "image")


def extractable(tree):
    """Returns the tree without devices, which only root can make, and with directories that their owner can fill."""
    for _, node in walk(tree):
        node.permissions |= 0o700
        if isinstance(node, Directory):
            node.entries = {name: child for name, child in node.entries.items() if not isinstance(child, Device)}
    return tree


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TREES.map(extractable), OPTIONS)
def test_extracted_tree(folder, tree, options):
    write_raw(write_squashfs(tree, options, threads=1), folder / "image")
    place = extracted(folder / "image", folder / f"extracted-{next(NUMBERS)}")
    assert [str(each) for each in differences(tree, read_folder(place)) if each.field in SEEN_FIELDS] == []
    shutil.rmtree(place)
