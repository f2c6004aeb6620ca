"""Mounts images, and compares what the Linux kernel reads with the tree that was written."""

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tools.ext4.format.constants import LOST_AND_FOUND
from tools.ext4.writer import write_ext4
from tools.image.extents import Data, Extent, Image
from tools.testing import libcap
from tools.testing.ext4_images import MIB, can_be_held, fsck, options, without_lost_and_found
from tools.testing.folders import read_folder
from tools.testing.mounts import mounted
from tools.testing.raw import write_raw
from tools.testing.trees import trees
from tools.tree import capability
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, File, Symlink

PARAMETERS = [
    {},
    {"journal": True, "metadata_csum": True},
    {"block_size": 1024, "metadata_csum": True, "wide": True},
    {"block_size": 2048, "journal": True, "inode_size": 512},
    {"inode_count": 100_000, "metadata_csum": True},
]


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns a function that writes an image to a new file, and returns its path."""
    return lambda image: write_raw(image, tmp_path_factory.mktemp("mount") / "image")


def assert_kernel_shows(image, tree, make):
    with mounted(make(image)) as place:
        found = read_folder(place)
        if LOST_AND_FOUND not in tree.entries:
            found = without_lost_and_found(found)
        assert [str(difference) for difference in differences(tree, found)] == []
        for name, node in tree.entries.items():
            if isinstance(node, Directory):
                assert os.stat(os.fsencode(place) + b"/" + name).st_nlink == 2 + sum(
                    isinstance(child, Directory) for child in node.entries.values()
                )


@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow])
@given(trees(block=4096, most=70000).filter(can_be_held))
@pytest.mark.parametrize("parameters", PARAMETERS)
def test_random_trees(make, parameters, tree):
    assert_kernel_shows(write_ext4(tree, options(64 * MIB, **parameters)), tree, make)


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_large_directory_is_searched_by_hash(make, parameters):
    names = [f"{number:05} {'x' * (number % 240)}".encode() for number in range(20000)]
    names += [bytes([200 + number % 56]) * (number // 56 + 1) for number in range(1000)]
    shared = File(content=Image.from_bytes(b"shared"))
    tree = Directory(entries={b"large": Directory(entries={name: Symlink(target=name[:5]) for name in names})})
    tree.entries[b"large"].entries[b"shared"] = tree.entries[b"shared"] = shared
    with mounted(make(write_ext4(tree, options(128 * MIB, **parameters)))) as place:
        large = os.fsencode(place / "large")
        assert sorted(os.listdir(large)) == sorted([*names, b"shared"])
        assert all(os.readlink(large + b"/" + name) == name[:5] for name in names)
        assert os.lstat(large + b"/shared").st_nlink == 2
        assert not os.path.lexists(large + b"/not there")


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_file_system_can_be_written_to(make, parameters):
    names = [f"{number:04}".encode() for number in range(3000)]
    tree = Directory(entries={name: File(content=Image.from_bytes(name * 2000)) for name in names})
    path = make(write_ext4(tree, options(96 * MIB, **parameters)))
    with mounted(path, "rw") as place:
        for name in names[::2]:
            (place / name.decode()).unlink()
        for number in range(2000):
            (place / f"new{number}").write_bytes(b"new" * number)
        os.sync()
    checked = fsck(Image.from_file(path), path.with_name("checked"))
    with mounted(checked) as place:
        assert len(os.listdir(place)) == 1500 + 2000 + 1
        assert (place / "new1999").read_bytes() == b"new" * 1999
        assert (place / "0001").read_bytes() == b"0001" * 2000


def test_holes_stay_holes(make):
    size = 5 << 30
    content = Image(size, [Extent(0, 10, Data(b"0123456789")), Extent(3 << 30, 5000, Data(b"x" * 5000))])
    tree = Directory(entries={b"sparse": File(content=content), b"empty": File(content=Image(1 << 40))})
    with mounted(make(write_ext4(tree, options(16 * MIB)))) as place:
        status = (place / "sparse").stat()
        assert (status.st_size, status.st_blocks * 512) == (size, 3 * 4096)
        with (place / "sparse").open("rb") as file:
            assert os.lseek(file.fileno(), 4096, os.SEEK_DATA) == 3 << 30
            assert os.pread(file.fileno(), 20, 0) == b"0123456789" + bytes(10)
            assert os.pread(file.fileno(), 10000, 3 << 30) == b"x" * 5000 + bytes(5000)
        assert ((place / "empty").stat().st_size, (place / "empty").stat().st_blocks) == (1 << 40, 0)


def test_device_numbers(make):
    numbers = [(0, 0), (1, 3), (255, 255), (0, 256), (256, 0), (259, 300), (4095, 2**20 - 1)]
    tree = Directory(
        entries={b"%d-%d" % pair: Device(block=bool(pair[0] % 2), major=pair[0], minor=pair[1]) for pair in numbers}
    )
    assert_kernel_shows(write_ext4(tree, options(8 * MIB)), tree, make)


@pytest.mark.parametrize(
    "text", ["cap_net_raw=ep", "cap_chown,cap_bpf=ip", "all=p cap_kill-p", "cap_kill=eip [rootid=7]"]
)
def test_capabilities(make, text):
    xattrs = {capability.NAME: capability.from_text(text)}
    tree = Directory(entries={b"file": File(content=Image(0), xattrs=xattrs)})
    with mounted(make(write_ext4(tree, options(8 * MIB)))) as place:
        plain, _, root = text.partition(" [rootid=")
        assert libcap.of_file(place / "file") == (libcap.normal_form(plain), int(root.rstrip("]") or 0))
