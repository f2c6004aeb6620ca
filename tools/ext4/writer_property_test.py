"""Random trees with random parameters, checked by e2fsck and read back."""

from copy import deepcopy

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tools.ext4.fit import FitError, fit, fit_layers
from tools.ext4.format.constants import LOST_AND_FOUND
from tools.ext4.inventory import take_inventory
from tools.ext4.writer import write_ext4
from tools.testing.ext4_images import MIB, assert_holds, can_be_held, fsck, minimum_size, options
from tools.testing.trees import trees
from tools.tree.layer import Layer
from tools.tree.merge import Directories, merge
from tools.tree.node import NAME_MAX, walk


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("images") / "image"


@st.composite
def parameters(draw):
    block_size = draw(st.sampled_from([1024, 2048, 4096]))
    return {
        "block_size": block_size,
        "inode_size": draw(st.sampled_from([256, 256, 512, 1024])),
        "journal": draw(st.booleans()),
        "metadata_csum": draw(st.booleans()),
        "wide": draw(st.sampled_from([None, True])),
        "groups_per_flex": draw(st.sampled_from([1, 2, 16, 16])),
        "reserved_percent": draw(st.sampled_from([0, 5, 12.5, 50])),
        "label": draw(st.sampled_from(["", "root", "sixteen bytes ok"])),
        "timestamp": draw(st.sampled_from([0, 1, 1700000000])),
    }


@settings(max_examples=80)
@given(
    trees(block=1024, most=40000, xattr_space=800).filter(can_be_held),
    parameters(),
    st.sampled_from([16, 65, 130, 300]),
)
def test_random_tree(path, tree, chosen, mebibytes):
    image = write_ext4(tree, options(mebibytes * MIB, **chosen))
    fsck(image, path)
    assert_holds(image, tree)


@settings(max_examples=30)
@given(
    trees(block=1024, most=20000, xattr_space=400, times=(-(2**31) * 10**9, (2**31 - 1) * 10**9)).filter(can_be_held),
    parameters(),
)
def test_random_tree_in_inodes_of_128_bytes(path, tree, chosen):
    for _, node in walk(tree):
        node.mtime_ns -= node.mtime_ns % 10**9
    image = write_ext4(tree, options(65 * MIB, **(chosen | {"inode_size": 128})))
    fsck(image, path)
    assert_holds(image, tree)


@settings(max_examples=40)
@given(trees(block=4096, most=70000, xattr_space=800).filter(can_be_held), parameters())
def test_random_tree_in_the_smallest_file_system(path, tree, chosen):
    size = minimum_size(tree, options(0, **chosen))
    with pytest.raises(FitError):
        write_ext4(tree, options(size - 1, **chosen))
    image = write_ext4(tree, options(size, **chosen))
    fsck(image, path)
    assert_holds(image, tree)


TREES = trees(block=1024, most=40000, xattr_space=800)


def merged(base, overlay):
    """Returns the layer that has one tree over the other."""
    layer = Layer("base", deepcopy(base))
    merge(layer, Layer("overlay", deepcopy(overlay)), ["/**"], Directories.REPLACE)
    # The merge makes directories that links lead to.
    assume(all(len(name) <= NAME_MAX for path, _ in walk(layer.root) for name in path.split(b"/")))
    return layer


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TREES.filter(can_be_held), TREES.filter(can_be_held), parameters(), st.sampled_from([16, 65, 130, 300]))
def test_random_overlay(path, base, overlay, chosen, mebibytes):
    layer = merged(base, overlay)
    image = write_ext4(layer.root, options(mebibytes * MIB, **chosen), layer.overlay)
    fsck(image, path)
    assert_holds(image, layer.root)


def places(root, parameters, overlay):
    """Returns the inode numbers and extents of the nodes of the base."""
    inventory = take_inventory(root, parameters, overlay)
    _, placement = fit_layers(inventory, parameters) if inventory.is_layered else fit(inventory, parameters)
    inodes = inventory.inodes
    found = {}
    for row in inodes.live:
        if row in inodes.base:
            place = placement.places[row]
            is_same = place and row not in inventory.base_blocks
            found[inodes.path(row)] = inodes.number(row), place.pointer if is_same else None
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, TREES, parameters())
def test_places_of_the_base_do_not_depend_on_the_overlay(base, overlay, chosen):
    for root in (base, overlay):
        root.entries.pop(LOST_AND_FOUND, None)
    chosen = options(300 * MIB, **chosen)
    alone = places(base, chosen, {})
    layer = merged(base, overlay)
    found = places(layer.root, chosen, layer.overlay)
    numbers = dict(alone.values())
    for name, (number, pointer) in found.items():
        assert number in numbers, name
        assert pointer in (numbers[number], None), name
