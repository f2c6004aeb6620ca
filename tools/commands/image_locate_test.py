"""What stands at a byte of an image is named from the partition down to the byte of a file."""

import random
from uuid import UUID

import pytest

from tools.commands.image_locate import Arguments, main
from tools.core.cli import call
from tools.core.errors import UserError
from tools.image.compare import first_difference
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.inspect.locate import locate
from tools.inspect.volumes import open_partition, read_tree
from tools.tar.image_file import open_image
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.sample_disk import MIB, disk, erofs, ext4, fat, root_tree, squashfs
from tools.tree.node import File, walk
from tools.verity.superblock import Superblock
from tools.verity.tree import hash_tree

CONTENT = "library" * 1000


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locate")
    root = ext4(root_tree("etc/hosts = localhost", f"usr/lib/x = {CONTENT}"))
    tree = hash_tree(root, Superblock(data_size=root.size, salt=b"", uuid=UUID(int=7))).image
    partition = Image.compose(root.size + MIB, [(0, root), (root.size, tree)])
    image = disk(fat(root_tree("EFI/BOOT/BOOTX64.EFI = shim")), partition)
    write_raw(archive_of([Member.of("disk.img", image)]).image, folder / "disk.img.tar")
    return folder / "disk.img.tar"


def located(path, offset, partition=None):
    return list(locate(open_partition(path, partition), offset, "disk"))[1:]


@pytest.mark.parametrize(("partition", "number", "start", "name"), [("esp", 1, 1, "FAT12"), ("A_root", 2, 3, "ext4")])
def test_every_byte_of_every_file(path, partition, number, start, name):
    """What is said of a byte holds: the byte of the file, read through the file system, is the byte of the disk."""
    volume = open_partition(path, partition)
    whole = open_image(path)
    files = {file: node for file, node in walk(read_tree(volume, "disk")) if isinstance(node, File)}
    seen = set()
    for offset in (offset for extent in volume.extents for offset in range(extent.offset, extent.end, 512)):
        in_disk, *lines = located(path, start * MIB + offset)
        assert in_disk == f"partition {number} ({partition}): byte {offset} of {volume.size}"
        if lines[0].startswith(f"{name}: /"):
            file, _, inside = lines[0].removeprefix(f"{name}: /").partition(", byte ")
            at, _, size = inside.partition(" of ")
            content = files[file.encode()].content
            assert int(size) == content.size
            length = min(512, content.size - int(at))
            assert first_difference(content.slice(int(at), length), whole.slice(start * MIB + offset, length)) is None
            seen.add(file.encode())
    assert seen == files.keys()
    assert located(path, volume.size - 1, partition) == located(path, start * MIB + volume.size - 1)[1:]


@pytest.mark.parametrize(
    ("offset", "line"),
    [
        (512, "partition table"),
        (100_000, "between partitions"),
        (MIB, "FAT12: metadata of the file system, such as a table, a directory or the journal"),
        (3 * MIB + 1024, "ext4: metadata of the file system, such as a table, a directory or the journal"),
        (7 * MIB - 1, "ext4: no file has data there"),
        (7 * MIB, "dm-verity: hash tree of the file system, byte 0 of 40960"),
        (7 * MIB + 40959, "dm-verity: hash tree of the file system, byte 40959 of 40960"),
        (7 * MIB + 40960, "behind the file system: unused"),
        (8 * MIB, "no file system"),
        (10 * MIB - 1, "partition table"),
    ],
)
def test_other_bytes(path, offset, line):
    assert located(path, offset)[-1] == line


def test_rest_of_the_last_block(path):
    image = open_image(path)
    begin = next(at for at in range(MIB, 2 * MIB, 512) if image.read(at, 4) == b"shim")
    assert located(path, begin + 4)[-1] == "FAT12: unused rest of the last block of /EFI/BOOT/BOOTX64.EFI"
    begin = next(at for at in range(3 * MIB, 8 * MIB, 1024) if image.read(at, 9) == b"localhost")
    assert located(path, begin + 8)[-1] == "ext4: /etc/hosts, byte 8 of 9"
    assert located(path, begin + 9)[-1] == "ext4: unused rest of the last block of /etc/hosts"
    assert located(path, begin + 4095)[-1] == "ext4: unused rest of the last block of /etc/hosts"
    assert "/etc/hosts" not in located(path, begin + 4096)[-1]


def test_tails_of_files_share_blocks(tmp_path):
    """A tail of EROFS is followed by other inodes, not by the rest of its block."""
    write_raw(erofs(root_tree(*(f"{number} = content {number}" for number in range(9)))), tmp_path / "image")
    whole = open_image(tmp_path / "image")
    for number in range(9):
        begin = whole.read(0, 8192).index(b"content %d" % number)
        assert located(tmp_path / "image", begin + 8) == [f"EROFS: /{number}, byte 8 of 9"]
        assert located(tmp_path / "image", begin + 9)[0].startswith("EROFS: metadata of the file system")
    assert located(tmp_path / "image", MIB) == ["EROFS: no file has data there"]


def test_compressed_blocks(tmp_path):
    """A file of SquashFS is in blocks of its own, and its end in a block with those of others."""
    root = root_tree("a = 1", "b = 22", "large = 0")
    root.entries[b"large"].content = Image.from_bytes(random.Random(1).randbytes(3 * 4096 + 5))
    write_raw(squashfs(root, block_size=4096), tmp_path / "image")
    lines = [located(tmp_path / "image", at)[-1] for at in (95, 96, 96 + 4096, 96 + 3 * 4096 - 1, 96 + 3 * 4096 + 2)]
    assert lines == [
        "SquashFS: metadata of the file system, such as inodes or directories",
        "SquashFS: a block with bytes 0 to 4095 of 12293 of /large",
        "SquashFS: a block with bytes 4096 to 8191 of 12293 of /large",
        "SquashFS: a block with bytes 8192 to 12287 of 12293 of /large",
        "SquashFS: a block with bytes 0 to 0 of 1 of /a, and with 2 other files",
    ]


def test_command(path, capfd):
    image = open_partition(path, "A_root")
    begin = next(at for at in range(0, image.size, 1024) if image.read(at, 9) == b"localhost")
    arguments = [str(path), str(3 * MIB + begin + 4)]
    assert call(main, Arguments, "", ["image_locate", *arguments]) == 0
    assert capfd.readouterr().out.splitlines() == [
        f"image: byte {3 * MIB + begin + 4} of {10 * MIB}, data",
        f"partition 2 (A_root): byte {begin + 4} of {5 * MIB}",
        "ext4: /etc/hosts, byte 4 of 9",
    ]


def test_hole_and_end(path):
    assert (
        next(locate(open_image(path), 100_000, "disk")) == f"image: byte 100000 of {10 * MIB}, in a hole (reads as 0)"
    )
    with pytest.raises(UserError, match=f"disk: has no byte {10 * MIB}; its bytes are 0 to {10 * MIB - 1}"):
        list(locate(open_image(path), 10 * MIB, "disk"))
