"""Tests extent trees of files without blocks up to very fragmented ones."""

import re

import pytest

from tools.image.extents import Data, Extent, Image, Pattern
from tools.testing.ext4_images import GIB, MIB, checked_image, debugfs, options
from tools.tree.node import Directory, File

BOTH = pytest.mark.parametrize("metadata_csum", [False, True])


@BOTH
@pytest.mark.parametrize("blocks", [0, 1, 4, 5, 32767, 32768, 32769, 65537])
def test_file_around_extent_limits(tmp_path, blocks, metadata_csum):
    size = max(blocks * 1024 - 1, 0)
    tree = Directory(entries={b"file": File(content=Image(size, [Extent(0, size, Pattern(b"pattern"))]))})
    checked_image(tree, options(80 * MIB, block_size=1024, metadata_csum=metadata_csum), tmp_path / "image")


@BOTH
@pytest.mark.parametrize(("pieces", "depth"), [(4, 0), (5, 1), (336, 1), (337, 2), (30000, 3)])
def test_fragmented_file(tmp_path, pieces, depth, metadata_csum):
    extents = [Extent(2048 * number + number % 1024, 1, Data(b"x")) for number in range(pieces)]
    tree = Directory(entries={b"file": File(content=Image(2048 * pieces + 5, extents))})
    path = checked_image(tree, options(64 * MIB, block_size=1024, metadata_csum=metadata_csum), tmp_path / "image")
    said = debugfs(path, "extents /file")
    assert re.search(rf"^ 0/ *{depth} ", said, re.MULTILINE), said[:400]


def test_holes_take_no_blocks(tmp_path):
    content = Image(9 * GIB, [Extent(5000, 10, Data(b"0123456789")), Extent(8 * GIB - 1, 2, Data(b"ab"))])
    tree = Directory(entries={b"sparse": File(content=content), b"hole": File(content=Image(2**44 - 4096))})
    path = checked_image(tree, options(4 * MIB), tmp_path / "image")
    assert f"Size: {9 * GIB}\n" in debugfs(path, "stat /sparse")
    assert "Blockcount: 24\n" in debugfs(path, "stat /sparse")
    assert "Blockcount: 0\n" in debugfs(path, "stat /hole")
