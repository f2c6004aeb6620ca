"""Tests directories with and without an index."""

import re

import pytest

from tools.ext4.format.directory_hash import hash_names
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.testing.ext4_images import ID, MIB, checked_image, debugfs, fsck, options
from tools.tree.node import Directory, Fifo

BOTH = pytest.mark.parametrize("metadata_csum", [False, True])


@BOTH
@pytest.mark.parametrize("block_size", [1024, 2048, 4096])
def test_directories_around_one_block(tmp_path, block_size, metadata_csum):
    room = block_size - 24 - (12 if metadata_csum else 0)
    exact = [b"%04d" % number for number in range(room // 12)]
    exact[-1] = exact[-1].ljust(4 + room % 12, b"x")
    tree = Directory(
        entries={
            b"exact": Directory(entries={name: Fifo() for name in exact}),
            b"more": Directory(entries={name: Fifo() for name in [*exact, b"y"]}),
        }
    )
    parameters = options(16 * MIB, block_size=block_size, metadata_csum=metadata_csum)
    path = checked_image(tree, parameters, tmp_path / "image")
    assert re.search(r"Flags: 0x80000\b", debugfs(path, "stat /exact"))
    assert re.search(r"Flags: 0x81000\b", debugfs(path, "stat /more"))
    assert f"Size: {block_size}\n" in debugfs(path, "stat /exact")
    assert f"Size: {2 * block_size}\n" in debugfs(path, "stat /more")


@BOTH
@pytest.mark.parametrize(("block_size", "levels"), [(1024, 1), (4096, 0)])
def test_large_directory(tmp_path, block_size, levels, metadata_csum):
    names = [b"%05d" % number + b"x" * (number % 40) for number in range(20000)]
    tree = Directory(entries={b"large": Directory(entries={name: Fifo() for name in names})})
    parameters = options(64 * MIB, block_size=block_size, metadata_csum=metadata_csum)
    path = checked_image(tree, parameters, tmp_path / "image")
    assert f"Indirect levels: {levels}\n" in debugfs(path, "htree_dump /large")


@BOTH
def test_directory_with_the_longest_names(tmp_path, metadata_csum):
    names = [b"%05d" % number + b"\xff" * 250 for number in range(9000)]
    tree = Directory(entries={b"large": Directory(entries={name: Fifo() for name in names})})
    path = checked_image(tree, options(64 * MIB, block_size=1024, metadata_csum=metadata_csum), tmp_path / "image")
    assert "Indirect levels: 1\n" in debugfs(path, "htree_dump /large")


def test_directory_beyond_its_index_is_plain(tmp_path):
    names = [b"%05d" % number + b"x" * 250 for number in range(48000)]
    tree = Directory(entries={b"large": Directory(entries={name: Fifo() for name in names})})
    image = write_ext4(tree, options(64 * MIB, block_size=1024))
    path = fsck(image, tmp_path / "image")
    assert re.search(r"Flags: 0x80000\b", debugfs(path, "stat /large"))
    assert read_ext4(image).root.entries[b"large"].entries.keys() == set(names)


@BOTH
def test_hash_collision_across_blocks(tmp_path, metadata_csum):
    names = [b"%07d" % number for number in range(150000)]
    by_hash = {}
    for name, value in zip(names, hash_names(names, ID), strict=True):
        by_hash.setdefault(value >> 32, []).append(name)
    value, colliding = next(item for item in sorted(by_hash.items(), reverse=True) if len(item[1]) > 1)
    lower = [name for other in sorted(by_hash) if other < value for name in by_hash[other]]
    per_block = (1024 - (12 if metadata_csum else 0)) // 16
    chosen = [*lower[: 3 * per_block - 1], *colliding]
    tree = Directory(entries={b"large": Directory(entries={name: Fifo() for name in chosen})})
    parameters = options(8 * MIB, block_size=1024, metadata_csum=metadata_csum, hash_seed=ID)
    path = checked_image(tree, parameters, tmp_path / "image")
    assert f"Hash 0x{value | 1:08x}" in debugfs(path, "htree_dump /large")


def test_deep_path(tmp_path):
    tree = leaf = Directory()
    for _ in range(1500):
        leaf.entries[b"deeper"] = leaf = Directory()
    checked_image(tree, options(32 * MIB), tmp_path / "image")
