from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image

from dev.drawing.layout_picture import draw
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import read_layout
from tools.gpt.table import encode
from tools.gpt.types import EFI_SYSTEM, LINUX_FILESYSTEM
from tools.testing.oracles import ask
from tools.testing.raw import write_raw

MIB, GIB = 1 << 20, 1 << 30
DISK_GUID = UUID("2B110BB7-CDEC-7D41-B97E-893EDCBE5428")


@pytest.fixture
def layout():
    return read_layout(Path(__file__).with_name("partitions.csv"))


def test_partitions_have_the_offsets_of_deployed_systems(layout):
    # Name, start and size in MiB, GUID. A machine that upgrades keeps its partition table, so no row may change.
    assert [(p.name, p.offset // MIB, p.size and p.size // MIB, p.uuid and str(p.uuid)) for p in layout.partitions] == [
        ("esp", 1, 100, "b78084e2-3363-1346-8c25-d426f26b8928"),
        ("grub", 101, 100, "6788e4cf-f456-104e-9a34-a2c58cfb0ee6"),
        ("config", 201, 100, "a5ba3816-beaa-d74d-993e-cfa5aa6ba1f6"),
        ("A_boot", 301, 1024, "ddf618fe-7244-b446-a175-3296e6b9d02e"),
        ("A_root", 1325, 10240, "7c0a626e-e5ea-e543-b5c5-300eb8304db7"),
        ("A_var", 11565, 10240, "22d2f5a6-1e39-d247-81cf-90c95c113e21"),
        ("B_boot", 21805, 1024, "d5214e4f-f7b0-b945-9a9b-52b9188df4c5"),
        ("B_root", 22829, 10240, "a78bc3a8-376c-054a-96e7-3904b915d0c5"),
        ("B_var", 33069, 10240, "2237d1d1-ce96-584e-8ec5-8ae6661faae9"),
        ("store", 43309, None, None),
    ]
    assert [p.type for p in layout.partitions] == [EFI_SYSTEM] + [LINUX_FILESYSTEM] * 9


def test_both_partition_sets_have_the_same_sizes(layout):
    for part in ("boot", "root", "var"):
        assert layout.partition(f"A_{part}").size == layout.partition(f"B_{part}").size


def test_the_partitions_fit_the_disk(layout):
    shipped = layout.without(["store"])
    assert minimum_disk_size(shipped) < 50 * GIB
    store = place(layout, 50 * GIB, DISK_GUID).entries[-1]
    assert (store.name, store.offset + store.size) == ("store", 50 * GIB - MIB)


def test_the_partition_table_is_valid(layout, tmp_path):
    table = place(layout.without(["store"]), 50 * GIB, DISK_GUID)
    disk = write_raw(encode(table), tmp_path / "disk.img")
    assert "No problems found" in ask("sgdisk", "-v", disk)
    assert "No errors detected" in ask("sfdisk", "--verify", disk)
    dump = ask("sfdisk", "-d", disk)
    assert f"label-id: {str(DISK_GUID).upper()}" in dump
    assert "start=    23685120, size=    20971520" in dump
    assert 'uuid=22D2F5A6-1E39-D247-81CF-90C95C113E21, name="A_var"' in dump


def test_the_picture_is_current(layout):
    drawn = draw(layout, 50 * GIB)
    with Image.open(Path(__file__).with_name("media") / "guestOS_disk-layout.png") as picture:
        same = (picture.size, picture.mode, picture.tobytes()) == (drawn.size, drawn.mode, drawn.tobytes())
    assert same, "the picture is older than partitions.csv: bazel run //ic-os/guestos:draw_disk_layout"
