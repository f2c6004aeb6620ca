"""File systems are told by their first bytes, and read with their parameters."""

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.inspect.image_differences import image_differences
from tools.inspect.listing import file_lines, holds, nodes_below, partition_lines
from tools.inspect.volumes import kind_of, read_file_system
from tools.testing.sample_disk import MIB, disk, erofs, ext4, fat, root_tree, squashfs
from tools.tree.compare import differences


@pytest.mark.parametrize(("make", "kind"), [(erofs, "EROFS"), (ext4, "ext4"), (fat, "FAT12"), (squashfs, "SquashFS")])
def test_kinds(make, kind):
    root = root_tree("etc/", "etc/hosts = localhost")
    image = make(root)
    found = read_file_system(image, "x")
    found.root.entries.pop(b"lost+found", None)
    assert (found.kind, holds(image)) == (kind, kind.rstrip("12"))
    assert image.size - found.size in range(4096) if kind == "SquashFS" else found.size == image.size
    assert [each for each in differences(root, found.root) if each.field in ("path", "type", "content")] == []


def test_parameters_of_erofs():
    found = read_file_system(erofs(root_tree(), label="root"), "x")
    assert (found.parameters["uuid"], found.parameters["label"]) == ("00000000-0000-0000-0000-000000000001", "root")
    assert (found.parameters["blocks"], found.block_size) == ("1024", 4096)


def test_parameters_of_squashfs():
    found = read_file_system(squashfs(root_tree("a = 1")), "x")
    assert (found.parameters["compression"], found.parameters["inodes"], found.block_size) == ("6", "2", 128 << 10)
    assert 0 < found.stored < 20


def test_other_data_is_no_file_system():
    assert kind_of(Image(MIB)) is None
    with pytest.raises(
        UserError, match=r"^x: is neither EROFS, ext4, FAT nor SquashFS; for a disk, say which partition$"
    ):
        read_file_system(Image(MIB), "x")


def test_a_disk_with_erofs_is_listed():
    image = disk(fat(root_tree("x = 1")), erofs(root_tree()))
    assert [line.split()[-2:] for line in partition_lines(image, "x")][1:] == [
        ["FAT", "esp"],
        ["EROFS", "A_root"],
        ["empty", "empty"],
    ]
    tree = read_file_system(image.slice(3 * MIB, 4 * MIB), "x").root
    assert any(line.endswith("/etc/hosts") for line in file_lines(nodes_below(tree, b"")))


def test_differences_of_erofs_are_named():
    left, right = erofs(root_tree("a = 1", "b = 2")), erofs(root_tree("a = 1", "b = 3"), label="root")
    found = [str(each) for each in image_differences(left, right, ("x",))]
    assert [line for line in found if "checksum" not in line] == [
        "x: label: none / root",
        "x: /b: byte 0: 0x32 / 0x33",
    ]


def test_differences_of_squashfs_are_named():
    left, right = squashfs(root_tree("a = 1", "b = 2")), squashfs(root_tree("a = 1", "b = 3"), compression="gzip")
    found = [str(each) for each in image_differences(left, right, ("x",))]
    assert "x: compression: 6 / 1" in found
    assert "x: /b: byte 0: 0x32 / 0x33" in found
