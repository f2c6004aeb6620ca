import os

import pytest

from tools.core.errors import UserError
from tools.ext4 import fit
from tools.ext4.fit import FitError, InodeCountError
from tools.ext4.options import Ext4Options
from tools.ext4.writer import write_ext4
from tools.image.extents import Extent, Image, Pattern
from tools.testing.ext4_images import GIB, ID, MIB, assert_holds, checked_image, file, fsck, minimum_size, options
from tools.testing.oracles import ask
from tools.tree.node import Directory, Fifo, File


def sized(size):
    return File(content=Image(size, [Extent(0, size, Pattern(b"data"))]))


def tree():
    usr = Directory(
        entries={
            b"bin": Directory(entries={b"large": sized(6 * MIB), b"other": sized(3 * MIB)}),
            b"lib": Directory(entries={b"lib": sized(7 * MIB)}),
        }
    )
    return Directory(entries={b"usr": usr, b"etc": Directory(entries={b"x": sized(10)})})


def test_report_has_what_is_needed():
    with pytest.raises(FitError) as caught:
        write_ext4(tree(), options(16 * MIB))
    error = caught.value
    assert (error.inodes, error.blocks) == (19, 4106)
    assert error.size == minimum_size(tree(), options(0))
    assert str(error) == (
        "ext4: the tree does not fit in 16.0 MiB (16777216 bytes): it needs 19 inodes and 4106 blocks of 4096 bytes, "
        f"but it has 4028 blocks for contents; make the file system at least {error.size} bytes (17M), or make the "
        "tree smaller; the largest directories, without those below them: /usr/bin (9.0 MiB), /usr/lib (7.0 MiB), "
        "/lost+found (16.0 KiB), /etc (4.0 KiB), / (4.0 KiB)"
    )


@pytest.mark.parametrize("size", [0, 100, 4096, 20000])
def test_report_of_a_file_system_without_room_for_its_tables(size):
    with pytest.raises(
        FitError, match=r"but there is no room even for the file system's own metadata; make .* at least"
    ):
        write_ext4(Directory(), options(size))


def test_too_few_inodes():
    entries = {b"%d" % number: Fifo() for number in range(100)}
    with pytest.raises(
        InodeCountError, match=r"^ext4: the tree needs 111 inodes, but the inode count is 64; increase it$"
    ):
        write_ext4(Directory(entries=entries), options(4 * MIB, inode_count=64))
    with pytest.raises(InodeCountError, match=r"needs 111 inodes, but the inode count is 110"):
        write_ext4(Directory(entries=entries), options(0, inode_count=110))
    assert write_ext4(Directory(entries=entries), options(4 * MIB, inode_count=111))
    assert write_ext4(Directory(entries=entries), options(4 * MIB, inode_ratio=1 << 20))


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"block_size": 1024},
        {"journal": True},
        {"journal": True, "block_size": 1024, "journal_size": 5 * MIB, "groups_per_flex": 1},
        {"inode_count": 100_000, "inode_size": 128},
        {"inode_count": 100_000, "metadata_csum": True},
        {"inode_ratio": 4096},
    ],
)
@pytest.mark.parametrize("size", [0, 31 * MIB, 128 * MIB])
def test_minimum_is_exact(tmp_path, size, parameters):
    root = Directory(entries={b"file": sized(size), b"small": file(b"x")})
    least = minimum_size(root, options(0, **parameters))
    image = write_ext4(root, options(least, **parameters))
    assert_holds(image, root)
    fsck(image, tmp_path / "image")
    for less in (1, 4096, 100_000, 3 * MIB):
        with pytest.raises(FitError):
            write_ext4(root, options(max(least - less, 0), **parameters))


def test_minimum_of_many_inodes(tmp_path):
    root = Directory(entries={b"%05d" % number: Fifo() for number in range(40000)})
    image = write_ext4(root, options(minimum_size(root, options(0, block_size=1024)), block_size=1024))
    fsck(image, tmp_path / "image")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"block_size": 8192}, "block size 8192 is not 1024, 2048 or 4096"),
        ({"inode_size": 64}, "inode size 64 is not a power of two from 128 to the block size 4096"),
        ({"inode_size": 300}, "inode size 300 is not a power of two"),
        ({"inode_size": 8192}, "inode size 8192 is not a power of two"),
        ({"inode_ratio": 1024}, "inode ratio 1024 is less than the block size 4096"),
        ({"inode_count": 0}, "inode count 0 is not positive"),
        ({"reserved_percent": 51}, "reserved percentage 51 is not between 0 and 50"),
        ({"label": "seventeen bytes.."}, "label 'seventeen bytes..' is longer than 16 bytes"),
        ({"label": "ä" * 9}, "is longer than 16 bytes"),
        ({"groups_per_flex": 3}, "flex group size 3 is not a power of two"),
        ({"timestamp": -1}, "timestamp -1 is not between 0 and 15032385535 seconds since 1970"),
        ({"timestamp": 2**31, "inode_size": 128}, "timestamp 2147483648 is not between 0 and 2147483647"),
        ({"size": -1}, "size -1 is negative"),
        ({"journal_size": GIB}, "a journal size is given, but no journal is requested"),
    ],
)
def test_parameters_out_of_range(changes, message):
    with pytest.raises(UserError, match=message):
        Ext4Options(**({"size": MIB, "uuid": ID} | changes))


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        (64 * MIB, {"inode_count": 100_000}),
        (64 * MIB, {"inode_count": 100_000, "metadata_csum": True, "journal": True}),
        (60 * MIB, {"inode_count": 210_000, "block_size": 1024, "metadata_csum": True}),
        (300 * MIB, {"inode_count": 150_000, "groups_per_flex": 1}),
        (200 * MIB, {"inode_count": 800_000}),
        (1024 * MIB, {"inode_count": 1_000_000}),
    ],
)
def test_more_inodes_than_large_groups_hold(tmp_path, size, parameters):
    """Groups are smaller then, as by mke2fs, and there are more of them."""
    root = Directory(entries={b"%d" % number: sized(5000) for number in range(500)})
    ours = checked_image(root, options(size, **parameters), tmp_path / "ours")
    assert group_sizes(ours) == group_sizes(made_by_mke2fs(tmp_path / "theirs", size, **parameters))


def made_by_mke2fs(path, size, *, inode_count, block_size=4096, groups_per_flex=16, **_features):
    path.touch()
    os.truncate(path, size)
    arguments = ["-b", block_size, "-N", inode_count, "-G", groups_per_flex, "-I", "256"]
    ask("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^resize_inode,^64bit", *map(str, arguments), path)
    return path


def group_sizes(path):
    wanted = ("Inode count", "Blocks per group", "Inodes per group")
    found = [line.split() for line in ask("dumpe2fs", "-h", path).splitlines() if line.startswith(wanted)]
    assert len(found) == 3
    return found


def test_all_inodes_of_small_groups_are_usable(tmp_path):
    root = Directory(entries={b"%05d" % number: Fifo() for number in range(40000)})
    checked_image(root, options(20 * MIB, inode_count=40011), tmp_path / "image")
    least = minimum_size(root, options(0))
    assert least < 20 * MIB
    checked_image(root, options(least), tmp_path / "image")


@pytest.mark.parametrize("parameters", [{}, {"block_size": 1024}, {"block_size": 1024, "inode_size": 128}])
@pytest.mark.parametrize("count", [3_000_000, 30_000_000])
def test_a_size_for_many_inodes_is_found_at_once(monkeypatch, count, parameters):
    attempts = []
    real = fit.choose_geometry
    monkeypatch.setattr(fit, "choose_geometry", lambda *arguments: (attempts.append(1), real(*arguments))[1])
    parameters |= {"inode_count": count}
    error = f"the tables of the {count} inodes that are to be there have [0-9]+ blocks; make .* at least"
    with pytest.raises(FitError, match=error) as caught:
        write_ext4(Directory(), options(64 * MIB, **parameters))
    assert len(attempts) < 500
    assert write_ext4(Directory(), options(caught.value.size, **parameters))
