"""Mounts images, and compares what the Linux kernel reads with the tree that was written."""

import ctypes
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.image.extents import Data, Extent, Image
from tools.squashfs.options import SquashfsOptions
from tools.squashfs.writer import write_squashfs
from tools.testing import libcap
from tools.testing.folders import read_folder
from tools.testing.mounts import mounted
from tools.testing.oracles import unavailable
from tools.testing.raw import write_raw
from tools.testing.squashfs_images import BLOCK, LABEL, OPTIONS, TIMES, file
from tools.testing.trees import trees
from tools.tree import capability
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, File, Symlink, walk

SECOND = 10**9


@pytest.fixture(scope="module", autouse=True)
def _squashfs():
    if "\tsquashfs\n" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        unavailable("the kernel has no SquashFS: load the module squashfs")


@pytest.fixture(scope="module")
def make(tmp_path_factory):
    """Returns a function that writes a tree to a new file system, and returns its path."""

    def write(tree, options=OPTIONS):
        return write_raw(write_squashfs(tree, options), tmp_path_factory.mktemp("mount") / "image")

    return write


def assert_kernel_shows(tree, path):
    for _, node in walk(tree):
        node.mtime_ns -= node.mtime_ns % SECOND
    with mounted(path) as place:
        assert [str(difference) for difference in differences(tree, read_folder(place))] == []
        for name, node in tree.entries.items():
            if isinstance(node, Directory):
                assert os.stat(os.fsencode(place) + b"/" + name).st_nlink == 2 + sum(
                    isinstance(child, Directory) for child in node.entries.values()
                )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(trees(most=9 * BLOCK, times=TIMES), st.sampled_from(["zstd", "gzip", "none"]))
def test_random_trees(make, tree, name):
    assert_kernel_shows(tree, make(tree, SquashfsOptions(compression=name, block_size=BLOCK)))


def test_names_are_found_by_the_index(make):
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


def test_large_blocks(make):
    content = b"".join(b"%08d" % number for number in range(1 << 19))
    tree = Directory(entries={b"%d" % size: file(content[:size]) for size in (4 << 20, (1 << 20) + 1, 100, 0)})
    for name in ("zstd", "gzip"):
        assert_kernel_shows(tree, make(tree, SquashfsOptions(compression=name, block_size=1 << 20)))


def test_holes_take_no_space(make):
    size = 5 << 30
    content = Image(size, [Extent(0, 10, Data(b"0123456789")), Extent(3 << 30, 5000, Data(b"x" * 5000))])
    tree = Directory(entries={b"sparse": File(content=content), b"empty": File(content=Image(1 << 40))})
    with mounted(make(tree, SquashfsOptions())) as place:
        assert (place / "sparse").stat().st_size == size
        assert (place / "sparse").stat().st_blocks * 512 == 2 * (128 << 10)
        with (place / "sparse").open("rb") as opened:
            assert os.pread(opened.fileno(), 20, 0) == b"0123456789" + bytes(10)
            assert os.pread(opened.fileno(), 10000, 3 << 30) == b"x" * 5000 + bytes(5000)
            assert os.pread(opened.fileno(), 10, size - 10) == bytes(10)
        assert (place / "empty").stat().st_size == 1 << 40
        assert (place / "empty").stat().st_blocks == 0


def test_device_numbers(make):
    numbers = [(0, 0), (1, 3), (255, 255), (0, 256), (256, 0), (259, 300), (4095, 2**20 - 1)]
    tree = Directory(
        entries={b"%d-%d" % pair: Device(block=bool(pair[0] % 2), major=pair[0], minor=pair[1]) for pair in numbers}
    )
    assert_kernel_shows(tree, make(tree))


def test_many_attributes(make):
    shared = [{b"user.%03d" % number: b"v" * 50} for number in range(200)]
    everything = {name: value for each in shared for name, value in each.items()}
    tree = Directory(
        xattrs=LABEL,
        entries={b"%d" % number: file(b"tail", xattrs=LABEL | shared[number % 200]) for number in range(600)},
    )
    tree.entries[b"all"] = file(b"x" * 5000, xattrs=everything | {b"trusted.big": bytes(range(256)) * 200})
    assert_kernel_shows(tree, make(tree))


@pytest.mark.parametrize("text", ["cap_net_raw=ep", "cap_chown,cap_bpf=ip", "cap_kill=eip [rootid=7]"])
def test_capabilities(make, text):
    tree = Directory(entries={b"file": file(b"", xattrs={capability.NAME: capability.from_text(text)})})
    with mounted(make(tree)) as place:
        plain, _, root = text.partition(" [rootid=")
        assert libcap.of_file(place / "file") == (libcap.normal_form(plain), int(root.rstrip("]") or 0))


def test_image_larger_than_the_file_system(make):
    tree = Directory(entries={b"file": file(b"x" * 5000)})
    with mounted(make(tree, SquashfsOptions(size=64 << 20))) as place:
        assert (place / "file").read_bytes() == b"x" * 5000


def test_an_inode_is_found_by_its_number(make):
    """The table for NFS: a file handle, which has the number of the inode, is opened after another mount."""
    tree = Directory(
        entries={b"dir": Directory(entries={b"%d" % number: file(b"%d" % number) for number in range(2000)})}
    )
    path = make(tree)
    names = ["0", "1234", "1999"]
    with mounted(path) as place:
        handles = [_handle_of(place / "dir" / name) for name in names]
    path.with_name(f"{path.name}.mounted").rmdir()
    with mounted(path) as place:
        assert [_read_by_handle(place, handle) for handle in handles] == [name.encode() for name in names]


class _Handle(ctypes.Structure):
    """The struct file_handle of name_to_handle_at(2), with room for a handle."""

    _fields_ = (("bytes", ctypes.c_uint), ("type", ctypes.c_int), ("data", ctypes.c_ubyte * 128))


def _handle_of(path):
    handle, mount = _Handle(bytes=128), ctypes.c_int()
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.name_to_handle_at(-100, os.fsencode(path), ctypes.byref(handle), ctypes.byref(mount), 0)
    assert done == 0, os.strerror(ctypes.get_errno())
    return handle


def _read_by_handle(place, handle):
    libc = ctypes.CDLL(None, use_errno=True)
    folder = os.open(place, os.O_RDONLY)
    opened = libc.open_by_handle_at(folder, ctypes.byref(handle), os.O_RDONLY)
    os.close(folder)
    assert opened >= 0, os.strerror(ctypes.get_errno())
    with open(opened, "rb") as content:
        return content.read()
