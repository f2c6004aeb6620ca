"""Tests the limits of the format, a tree as large as that of a system, and the memory for each file."""

import random
import tracemalloc

import pytest

from tools.core.errors import UserError
from tools.ext4.reader import read_ext4
from tools.ext4.writer import write_ext4
from tools.image.extents import Extent, FileRange, Image, InputFile
from tools.image.holes import joined
from tools.testing.ext4_images import MIB, debugfs, file, fsck, minimum_size, options, without_lost_and_found
from tools.tree.compare import differences
from tools.tree.node import Directory, File, Symlink, walk


def test_links(tmp_path):
    linked = file(b"x")
    tree = Directory(entries={b"many": Directory(entries={b"%05d" % number: linked for number in range(65000)})})
    image = write_ext4(tree, options(16 * MIB))
    path = fsck(image, tmp_path / "image")
    assert "Links: 65000 " in debugfs(path, "stat /many/00000")
    assert len(set(read_ext4(image).root.entries[b"many"].entries.values())) == 1
    tree.entries[b"one more"] = linked
    with pytest.raises(UserError, match=r"^ext4: /one more: it has 65001 hard links, but ext4 allows 65000$"):
        write_ext4(tree, options(16 * MIB))


@pytest.mark.parametrize(("directories", "links"), [(64998, 65000), (64999, 1)])
def test_directory_of_directories(tmp_path, directories, links):
    entries = {b"%05d" % number: Directory() for number in range(directories)}
    tree = Directory(entries={b"many": Directory(entries=entries)})
    path = fsck(write_ext4(tree, options(160 * MIB, block_size=1024)), tmp_path / "image")
    assert f"Links: {links} " in debugfs(path, "stat /many")


def test_sixteen_tebibytes():
    data = bytes(range(256)) * 4096
    image = write_ext4(Directory(entries={b"file": file(data)}), options(1 << 44))
    assert len(image.extents) < 10_000
    found = read_ext4(image)
    assert found.superblock.blocks == 1 << 32
    assert found.superblock.is_wide
    assert found.root.entries[b"file"].content.read(0, MIB) == data


@pytest.mark.parametrize("block_size", [1024, 2048])
def test_too_large_for_the_block_size(block_size):
    with pytest.raises(
        UserError, match=f"17592186044416 bytes are too many for a block size of {block_size}; use a larger one"
    ):
        write_ext4(Directory(), options(1 << 44, block_size=block_size))


FOLDERS = 1000
FILES = 9000
LABEL = {b"security.selinux": b"system_u:object_r:usr_t:s0\0"}


@pytest.fixture(scope="module")
def system(tmp_path_factory):
    """A tree like /usr of a system: files of every size up to 4 MiB, links of both kinds, large folders, labels."""
    chance = random.Random(4711)
    data = tmp_path_factory.mktemp("system") / "data"
    root = Directory()
    folders = [root]
    for number in range(FOLDERS):
        folder = Directory(permissions=chance.choice([0o755, 0o700, 0o2755]), mtime_ns=chance.randrange(1 << 60))
        chance.choice(folders).entries[b"folder-%d" % number] = folder
        folders.append(folder)
    position = 0
    for number in range(FILES):
        size = int(2 ** chance.uniform(0, 22)) - 1
        made = File(
            content=Image(size, [Extent(0, size, FileRange(InputFile(data), position))] if size else []),
            permissions=chance.choice([0o644, 0o755, 0o4755]),
            mtime_ns=chance.randrange(1 << 60),
            xattrs=LABEL if chance.random() < 0.1 else {},
        )
        position += size
        # Every third one in the same folder.
        folder = root if number % 3 == 0 else chance.choice(folders)
        folder.entries[b"%d-%s" % (number, b"n" * chance.randrange(100))] = made
        if number % 20 == 0:
            chance.choice(folders).entries[b"hard-link-%d" % number] = made
        if number % 10 == 0:
            chance.choice(folders).entries[b"link-%d" % number] = Symlink(target=b"t" * chance.randrange(1, 200))
    with data.open("wb") as stream:
        stream.truncate(position)
    return root


@pytest.mark.parametrize(
    "parameters", [{}, {"block_size": 1024, "metadata_csum": True, "journal": True}], ids=["plain", "small blocks"]
)
def test_tree_like_a_system(tmp_path, system, parameters):
    size = minimum_size(system, options(0, **parameters)) + 200 * MIB
    image = write_ext4(system, options(size, **parameters))
    # e2fsck doesn't read file contents, so they need not be copied.
    made = [extent for extent in image.extents if not isinstance(extent.source, FileRange)]
    fsck(Image(size, made), tmp_path / "image")
    found = without_lost_and_found(read_ext4(image).root)
    assert [str(difference) for difference in differences(system, found, ignore=["content"])] == []
    contents = {path: node.content.extents for path, node in walk(system) if isinstance(node, File)}
    assert len(contents) >= FILES
    for path, node in walk(found):
        if isinstance(node, File):
            assert tuple(joined(node.content.extents)) == contents[path], path


@pytest.mark.parametrize("in_each", [50, 1000], ids=["small directories", "large directories"])
def test_memory_for_each_file(in_each):
    """The plan of a file system takes less memory than the nodes of the tree."""
    count = 100_000
    folders = {
        b"%d" % folder: Directory(entries={b"file-%d" % number: File(content=Image(0)) for number in range(in_each)})
        for folder in range(count // in_each)
    }
    root = Directory(entries=folders)
    write_ext4(Directory(), options(8 * MIB))  # loads what is needed once
    tracemalloc.start()
    try:
        image = write_ext4(root, options(1700 * MIB))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert image.size == 1700 * MIB
    assert peak / count < 64
