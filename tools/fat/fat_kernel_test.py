"""The Linux kernel as the judge: it mounts what the writer made, which needs root and the vfat driver."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.testing.folders import read_folder
from tools.testing.mounts import mounted
from tools.testing.oracles import unavailable
from tools.testing.raw import write_raw
from tools.tree.compare import differences
from tools.tree.node import Directory, File

MIB = 1 << 20
TIME = 1_709_213_862 * 10**9
LAST_TIME = 4_354_819_198 * 10**9


def file(data=b"", mtime_ns=TIME):
    return File(content=Image.from_bytes(data), mtime_ns=mtime_ns)


def tree():
    odd = {
        "x" * 255: b"x",
        "é" * 127: b"a long name" * 1000,
        "\N{PENGUIN} b": b"a pair of units",
        "UPPER.TXT": b"",
        "lower.txt": b"1",
        "Mixed.txt": b"2" * 100_000,
    }
    deeper = Directory(mtime_ns=TIME, entries={name.encode(): file(data) for name, data in odd.items()})
    deeper.entries[b"last"] = file(mtime_ns=LAST_TIME)
    wide = Directory(mtime_ns=TIME, entries={b"entry number %d" % number: file() for number in range(3000)})
    return Directory(entries={b"wide": wide, b"nested": Directory(mtime_ns=TIME, entries={b"deeper": deeper})})


def needs_vfat():
    modprobe = shutil.which("modprobe", path="/usr/sbin:/sbin")
    if modprobe:
        subprocess.run([modprobe, "-q", "vfat"], check=False)
    if "\tvfat\n" not in Path("/proc/filesystems").read_text():
        unavailable("the kernel has no vfat driver: run this where CONFIG_VFAT_FS is set")


def differences_when_mounted(root, image):
    # errors=continue: any complaint of the driver would otherwise hide behind a remount.
    with mounted(image, "ro,utf8,tz=UTC,check=s,errors=continue") as folder:
        found = read_folder(folder)
        root.mtime_ns = found.mtime_ns  # FAT has no time for its root
        return list(map(str, differences(root, found, ["permissions", "uid", "gid"])))


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (3 * MIB, {}),
        (100 * MIB, {}),
        (100 * MIB, {"bits": 32}),
        (2 << 30, {}),
        (600 * MIB, {"sector_size": 4096}),
    ],
)
def test_mounted_tree_is_the_tree(size, options, tmp_path):
    needs_vfat()
    root = tree()
    image = fat_image(root, Options(size=size, volume_id=1, **options))
    assert differences_when_mounted(root, write_raw(image, tmp_path / "image")) == []
