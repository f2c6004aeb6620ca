"""Reads images with GRUB's ext2 driver: indexed directories, fragmented files, symlinks, checksums."""

import random

import pytest

from tools.ext4.writer import write_ext4
from tools.image.extents import Data, Extent, Image
from tools.testing.ext4_images import MIB, file, options
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.tree.node import Directory, File, Symlink

NAMES = [b"%05d-kernel" % number for number in range(3000)]
LARGE = random.Random(4).randbytes(5 * MIB)
FRAGMENTED = Image(
    8192 * 2000, [Extent(8192 * number, 1500, Data(bytes([number % 251 + 1]) * 1500)) for number in range(2000)]
)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"metadata_csum": True, "wide": True, "journal": True},
        {"block_size": 1024, "metadata_csum": True},
        {"block_size": 2048, "inode_size": 128},
    ],
)
@pytest.mark.parametrize("is_overlay", [False, True])
def test_grub_reads_it(tmp_path, parameters, is_overlay):
    tree = Directory(
        entries={
            b"many": Directory(entries={name: file(name) for name in NAMES}),
            b"large": file(LARGE),
            b"fragmented": File(content=FRAGMENTED),
            b"short": Symlink(target=b"large"),
            b"long": Symlink(target=b"./" * 100 + b"large"),
        }
    )
    overlay = {tree: dict.fromkeys(tree.entries)} if is_overlay else None
    image = write_raw(write_ext4(tree, options(512 * MIB, **parameters), overlay), tmp_path / "image")
    assert sorted(ask("grub-fstest", image, "ls", "(loop0)/many/").split()) == [name.decode() for name in NAMES]
    contents = {
        "large": LARGE,
        "short": LARGE,
        "long": LARGE,
        "fragmented": FRAGMENTED.read(0, FRAGMENTED.size),
        "many/02999-kernel": NAMES[-1],
    }
    for path, content in contents.items():
        (tmp_path / "expected").write_bytes(content)
        assert ask("grub-fstest", image, "cmp", f"(loop0)/{path}", tmp_path / "expected") == ""
