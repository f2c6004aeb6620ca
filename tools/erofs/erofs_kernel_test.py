"""Mounts images, and compares what the Linux kernel reads with the tree that was written."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from tools.erofs.options import ErofsOptions
from tools.erofs.writer import write_erofs
from tools.image.extents import Data, Extent, Image
from tools.testing import libcap
from tools.testing.erofs_images import ID, LABEL, OPTIONS, file
from tools.testing.folders import read_folder
from tools.testing.mounts import mounted
from tools.testing.oracles import unavailable
from tools.testing.raw import write_raw
from tools.testing.trees import trees
from tools.tree import capability
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, File, Symlink


@pytest.fixture(scope="module", autouse=True)
def _erofs():
    if "\terofs\n" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        unavailable("the kernel has no EROFS: load the module erofs")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns a function that writes a tree to a new file system, and returns its path."""
    return lambda tree: write_raw(write_erofs(tree, OPTIONS), tmp_path_factory.mktemp("mount") / "image")


def assert_kernel_shows(tree, make):
    with mounted(make(tree)) as place:
        assert [str(difference) for difference in differences(tree, read_folder(place))] == []
        for name, node in tree.entries.items():
            if isinstance(node, Directory):
                assert os.stat(os.fsencode(place) + b"/" + name).st_nlink == 2 + sum(
                    isinstance(child, Directory) for child in node.entries.values()
                )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(trees(most=70000))
def test_random_trees(make, tree):
    assert_kernel_shows(tree, make)


def test_names_are_found_by_binary_search(make):
    names = [f"{number:05} {'x' * (number % 240)}".encode() for number in range(20000)]
    names += [bytes([1 + number % 45]) * (number // 45 + 1) for number in range(900)]
    names += [bytes([200 + number % 56]) * (number // 56 + 1) for number in range(1000)]
    shared = file(b"shared")
    tree = Directory(entries={b"large": Directory(entries={name: Symlink(target=name[:5]) for name in names})})
    tree.entries[b"large"].entries[b"shared"] = tree.entries[b"shared"] = shared
    with mounted(make(tree)) as place:
        large = os.fsencode(place / "large")
        assert all(os.readlink(large + b"/" + name) == name[:5] for name in names)
        assert sorted(os.listdir(large)) == sorted([*names, b"shared"])
        assert os.lstat(large + b"/shared").st_nlink == 2
        assert not os.path.lexists(large + b"/not there")


def test_holes_stay_holes(make):
    size = 5 << 30
    content = Image(size, [Extent(0, 10, Data(b"0123456789")), Extent(3 << 30, 5000, Data(b"x" * 5000))])
    tree = Directory(entries={b"sparse": File(content=content), b"empty": File(content=Image(1 << 40))})
    with mounted(make(tree)) as place:
        assert (place / "sparse").stat().st_size == size
        with (place / "sparse").open("rb") as opened:
            data = os.lseek(opened.fileno(), 1 << 30, os.SEEK_DATA)
            assert (3 << 30) - (1 << 20) <= data <= 3 << 30
            assert os.pread(opened.fileno(), 20, 0) == b"0123456789" + bytes(10)
            assert os.pread(opened.fileno(), 10000, 3 << 30) == b"x" * 5000 + bytes(5000)
            assert os.pread(opened.fileno(), 10, size - 10) == bytes(10)
        assert (place / "empty").stat().st_size == 1 << 40


def test_device_numbers(make):
    numbers = [(0, 0), (1, 3), (255, 255), (0, 256), (256, 0), (259, 300), (4095, 2**20 - 1)]
    tree = Directory(
        entries={b"%d-%d" % pair: Device(block=bool(pair[0] % 2), major=pair[0], minor=pair[1]) for pair in numbers}
    )
    assert_kernel_shows(tree, make)


def test_many_attributes(make):
    shared = [{b"user.%03d" % number: b"v" * 50} for number in range(200)]
    everything = {name: value for each in shared for name, value in each.items()}
    tree = Directory(
        xattrs=LABEL,
        entries={b"%d" % number: file(b"tail", xattrs=LABEL | shared[number % 200]) for number in range(600)},
    )
    tree.entries[b"all"] = file(b"x" * 5000, xattrs=everything | {b"trusted.big": bytes(range(256)) * 200})
    assert_kernel_shows(tree, make)


@pytest.mark.parametrize("text", ["cap_net_raw=ep", "cap_chown,cap_bpf=ip", "cap_kill=eip [rootid=7]"])
def test_capabilities(make, text):
    tree = Directory(entries={b"file": file(b"", xattrs={capability.NAME: capability.from_text(text)})})
    with mounted(make(tree)) as place:
        plain, _, root = text.partition(" [rootid=")
        assert libcap.of_file(place / "file") == (libcap.normal_form(plain), int(root.rstrip("]") or 0))


def test_image_larger_than_the_file_system(tmp_path):
    tree = Directory(entries={b"file": file(b"x" * 5000)})
    image = write_erofs(tree, ErofsOptions(uuid=ID, label="fifteen bytes!!", size=64 << 20))
    with mounted(write_raw(image, tmp_path / "image")) as place:
        assert (place / "file").read_bytes() == b"x" * 5000
        assert os.statvfs(place).f_blocks == (64 << 20) // 4096
