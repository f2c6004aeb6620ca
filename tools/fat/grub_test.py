"""Reads written images with GRUB's driver, since GRUB reads most of these file systems."""

import re
import uuid
import zlib

import pytest

from tools.fat.writer import Options, fat_image
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import parse_layout
from tools.image.extents import Image
from tools.testing.disks import disk_image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.tree.node import Directory, File

MIB = 1 << 20
CONTENTS = {
    "EFI/BOOT/BOOTX64.EFI": b"shim" * 100_001,
    "EFI/BOOT/grubx64.efi": b"grub" * 5,
    "grub/grub.cfg": b"set timeout=0\n",
    "grub/a name that is longer than thirteen characters": b"long",
    "grub/ähnlich": b"UTF-8",
    "empty": b"",
}


def tree():
    root = Directory()
    for path, data in CONTENTS.items():
        *folders, name = path.encode().split(b"/")
        directory = root
        for folder in folders:
            directory = directory.entries.setdefault(folder, Directory())
        directory.entries[name] = File(content=Image.from_bytes(data))
    return root


@pytest.mark.parametrize(("bits", "size"), [(12, 4 * MIB), (16, 100 * MIB), (32, 100 * MIB), (32, 600 * MIB)])
def test_reads_a_file_system(bits, size, tmp_path):
    image = fat_image(tree(), Options(size=size, volume_id=1, label="ESP", bits=bits))
    path = write_raw(image, tmp_path / "image")
    for name, data in CONTENTS.items():
        if data:
            assert int(ask("grub-fstest", path, "crc", f"/{name}"), 16) == zlib.crc32(data), name
    assert set(ask("grub-fstest", path, "ls", "/").lower().split()) == {"efi/", "grub/", "empty"}


def test_finds_a_partition(tmp_path):
    layout = parse_layout("esp,,204800,U,,\ngrub,,204800,L,,\n", "p.csv")
    table = place(layout, minimum_disk_size(layout), uuid.UUID(int=1))
    image = fat_image(tree(), Options(size=100 * MIB, volume_id=1))
    path = write_raw(disk_image(table, [("grub", image)]), tmp_path / "disk")
    assert re.search(
        r"^set timeout=0$", ask("grub-fstest", "-r", "loop0,gpt2", path, "cat", "/grub/grub.cfg"), re.MULTILINE
    )
