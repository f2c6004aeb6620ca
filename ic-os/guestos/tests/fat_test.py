"""The guest's FAT code, judged by fsck.fat, mtools and our own reader, and with the power cut at each write."""

import struct
import subprocess

import pytest
from guestos.errors import GuestError, StateError
from guestos.fat import SECTOR, Volume
from guestos.partition import Partition
from hypothesis import given, settings
from hypothesis import strategies as st
from loader_files import SIZE, below, in_capitals, read_partition, write_partition
from power_cut import Recorder, cuts, replay

from tools.fat.boot import decode
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import open_raw, write_raw
from tools.testing.oracles import ask, oracle
from tools.tree.node import Directory

OLD = {"BOOT/BOOTX64.EFI": b"old" * 3000, "BOOT/grubx64.efi": b"grub", "debian/grub.cfg": b"old\n"}
NEW = {"BOOT/BOOTX64.EFI": b"new" * 5000, "BOOT/GRUBX64.EFI": b"other", "DEBIAN/GRUB.CFG": b"new\n", "EMPTY": b""}
OTHERS = {"notes.txt": b"something else", "folder/another file.text": bytes(range(256)) * 9}


def replace(path, files):
    with Partition(str(path)) as partition:
        Volume(partition).replace("EFI", "EFI.OLD", files)


def read(path, name):
    with Partition(str(path)) as partition:
        return Volume(partition).files(name)


@pytest.fixture
def esp(tmp_path):
    (tmp_path / "dev").mkdir()
    return write_partition(tmp_path / "dev/esp", below("EFI", OLD) | OTHERS)


def test_files_are_read(esp):
    assert read(esp, "EFI") == in_capitals(OLD)
    assert read(esp, "EFI.OLD") is None
    assert read(esp, "NOTES.TXT") is None


def test_a_directory_is_replaced_and_kept(esp):
    replace(esp, NEW)
    assert read(esp, "EFI") == NEW
    assert read_partition(esp) == in_capitals(below("EFI", NEW) | below("EFI.OLD", OLD) | OTHERS)
    said = ask("fsck.fat", "-nv", esp)
    assert "Reclaimed" not in said
    program = subprocess.run(
        [oracle("mtype"), "-i", esp, "::/EFI/BOOT/bootx64.efi"], stdout=subprocess.PIPE, check=True
    ).stdout
    assert program == NEW["BOOT/BOOTX64.EFI"]


def test_replaced_again_and_again(esp):
    """Each time the one before is kept, and the clusters of that before it are free again."""
    before = in_capitals(OLD)
    for number in range(40):
        following = {"BOOT/BOOTX64.EFI": bytes([number]) * (SIZE // 5)}
        replace(esp, following)
        assert read(esp, "EFI") == following
        assert read(esp, "EFI.OLD") == before
        before = following
    assert "Reclaimed" not in ask("fsck.fat", "-nv", esp)


def parts(path):
    """Returns the offsets of the FATs and of the root directory, in bytes."""
    shape = decode(open_raw(path)).geometry
    return [shape.fat_offset, shape.fat_offset + shape.fat_size, shape.root_offset, shape.data_offset]


def recorded(path, action):
    """Returns the writes and fsyncs of an action on a partition."""
    recorder = Recorder(path.parent.parent)
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        action()
    return recorder.events


@pytest.mark.parametrize("kept", [False, True])
def test_one_write_of_a_sector_switches(esp, kept):
    """What was in use is not written but for one sector of the root directory, and that after all else is synced."""
    if kept:
        replace(esp, {"BOOT/BOOTX64.EFI": b"before"})
    before, present = esp.read_bytes(), read(esp, "EFI")
    used = {path: read(esp, path) for path in ("EFI", "EFI.OLD", "FOLDER")}
    first, _, root, data = parts(esp)
    events = recorded(esp, lambda: replace(esp, NEW))
    switches = [number for number, each in enumerate(events) if each.kind == "write" and root <= each.offset < data]
    assert [(events[each].offset % SECTOR, len(events[each].data)) for each in switches] == [(0, SECTOR)]
    assert (events[switches[0] - 1].kind, events[switches[0] + 1].kind) == ("sync", "sync")
    # Before the switch: all that was there is as it was.
    esp.write_bytes(before)
    for each in events[: switches[0]]:
        if each.kind == "write":
            assert each.offset >= data or first <= each.offset < root
            with open(esp, "r+b") as file:
                file.seek(each.offset)
                file.write(each.data)
    assert {path: read(esp, path) for path in used} == used
    after = events[switches[0]].data
    changed = [at for at in range(0, SECTOR, 32) if after[at : at + 32] != before[root + at : root + at + 32]]
    assert len(changed) == 2
    assert present != NEW


def test_power_cuts(esp, tmp_path):
    """After each the loader is the old one or the new one, whole; the next call completes what is left."""
    before = esp.read_bytes()
    events = recorded(esp, lambda: replace(esp, NEW))
    copy = tmp_path / "after"
    (copy / "dev").mkdir(parents=True)
    found = []
    for cut in cuts(events):
        (copy / "dev/esp").write_bytes(before)
        replay(events, cut, esp.parent.parent, copy)
        files = read_partition(copy / "dev/esp")
        loader = {path: data for path, data in files.items() if path.startswith("EFI/")}
        assert loader in (in_capitals(below("EFI", OLD)), below("EFI", NEW))
        found.append(loader == below("EFI", NEW))
        assert {path: data for path, data in files.items() if not path.startswith("EFI")} == in_capitals(OTHERS)
        if not found[-1]:
            replace(copy / "dev/esp", NEW)
        with Partition(str(copy / "dev/esp")) as partition:
            Volume(partition).tidy()
        assert read(copy / "dev/esp", "EFI") == NEW
        assert read(copy / "dev/esp", "EFI.OLD") == in_capitals(OLD)
        if len(found) % 10 == 0:
            assert "Reclaimed" not in ask("fsck.fat", "-nv", copy / "dev/esp")
    assert found.count(True) > 1
    assert found.count(False) > 10


NAMES = st.from_regex(r"[A-Z0-9_]{1,8}(\.[A-Z0-9_]{1,3})?", fullmatch=True)
TREES = st.dictionaries(
    st.tuples(st.sampled_from(["BOOT", "DEBIAN", "A/B/C"]), NAMES).map("/".join), st.binary(max_size=3000), max_size=40
)


@settings(max_examples=30, deadline=None)
@given(old=TREES, new=TREES)
def test_any_two_trees_change_places(tmp_path_factory, old, new):
    esp = write_partition(tmp_path_factory.mktemp("trees") / "esp", below("EFI", old | {"X": b"x"}) | OTHERS)
    replace(esp, new)
    expected = below("EFI", new) | below("EFI.OLD", old | {"X": b"x"}) | in_capitals(OTHERS)
    assert read_partition(esp) == expected


def changed(path, offset, data):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def table_entry(path, cluster):
    return parts(path)[0] + 2 * cluster


def first_cluster(path, entry):
    """Returns the first cluster of an entry of the root directory."""
    return struct.unpack_from("<H", path.read_bytes(), parts(path)[2] + 32 * entry + 26)[0]


DAMAGE = {
    "a loop": lambda esp: changed(
        esp, table_entry(esp, first_cluster(esp, 1)), struct.pack("<H", first_cluster(esp, 1))
    ),
    "beyond the end": lambda esp: changed(esp, table_entry(esp, first_cluster(esp, 1)), b"\xf0\x7f"),
    "a free cluster": lambda esp: changed(esp, table_entry(esp, first_cluster(esp, 1)), b"\0\0"),
    "a shared cluster": lambda esp: changed(esp, parts(esp)[2] + 32 * 3 + 26, struct.pack("<H", first_cluster(esp, 1))),
    "no signature": lambda esp: changed(esp, 510, b"\0\0"),
    "large sectors": lambda esp: changed(esp, 11, struct.pack("<H", 4096)),
    "clusters of three sectors": lambda esp: changed(esp, 13, b"\3"),
    "more sectors than the partition": lambda esp: changed(
        esp, 19, struct.pack("<HBHHHII", 0, 0xF8, 32, 0, 0, 0, 16384)
    ),
    "no FAT": lambda esp: changed(esp, 16, b"\0"),
    "zeros": lambda esp: esp.write_bytes(bytes(SIZE)),
    "text": lambda esp: esp.write_bytes(b"text" * 1000),
    "cut off": lambda esp: esp.write_bytes(esp.read_bytes()[: SIZE // 2]),
    "empty": lambda esp: esp.write_bytes(b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_system_is_refused_and_not_written(esp, damage):
    DAMAGE[damage](esp)
    before = esp.read_bytes()
    with pytest.raises(GuestError):
        replace(esp, NEW)
    assert esp.read_bytes() == before


@pytest.mark.parametrize(("bits", "size"), [(12, 1 << 20), (32, 40 << 20)])
def test_other_types_of_fat_are_refused(tmp_path, bits, size):
    write_raw(fat_image(Directory(), Options(size=size, volume_id=1, bits=bits, cluster_size=512)), tmp_path / "esp")
    with pytest.raises(GuestError, match=r"has (no FAT16|a FAT) file system"):
        read(tmp_path / "esp", "EFI")


def test_bytes_of_a_file_system_are_never_a_crash(esp):
    """With any one byte of the boot sector or of the first entries changed, it is read, or refused with a message."""
    good = esp.read_bytes()
    places = [*range(64), *range(parts(esp)[2], parts(esp)[2] + 96)]
    for place in places:
        for value in (0, 0xFF, good[place] ^ 0x10):
            changed(esp, place, bytes([value]))
            try:
                read(esp, "EFI")
            except GuestError as error:
                message = str(error)
                assert "\n" not in message
            changed(esp, place, good[place : place + 1])


def test_no_place_in_the_sector_is_refused(tmp_path):
    """The entry of the kept copy has to be where one write reaches both."""
    many = {f"F{number:07}": b"" for number in range(16)}
    esp = write_partition(tmp_path / "esp", below("EFI", OLD) | many)
    before = esp.read_bytes()
    with pytest.raises(StateError, match=r"EFI\.OLD cannot be in the sector of EFI; nothing was changed"):
        replace(esp, NEW)
    assert esp.read_bytes() == before


def test_the_last_entry_of_a_sector_is_used_if_the_next_one_is_unused(tmp_path):
    # With the label and EFI these are fifteen entries.
    esp = write_partition(tmp_path / "esp", below("EFI", OLD) | {f"F{number:07}": b"" for number in range(13)})
    behind = parts(esp)[2] + SECTOR
    changed(esp, behind + 1, b"stale")
    replace(esp, NEW)
    assert read(esp, "EFI.OLD") == in_capitals(OLD)
    assert len(read_partition(esp)) == len(NEW) + len(OLD) + 13


def test_files_that_do_not_fit_are_refused(esp):
    before = esp.read_bytes()
    with pytest.raises(StateError, match="has no room"):
        replace(esp, {"BOOT/BOOTX64.EFI": bytes(SIZE)})
    assert esp.read_bytes() == before


def test_a_name_that_fat_has_not_is_refused(esp):
    before = esp.read_bytes()
    with pytest.raises(StateError, match="no name of FAT"):
        replace(esp, {"BOOT/A LONG NAME.EFI": b""})
    assert esp.read_bytes() == before


def test_a_lost_write_is_found(esp, monkeypatch):
    """The disk says that it has written, and has not."""
    monkeypatch.setattr(Partition, "write", lambda *_: None)
    with pytest.raises(GuestError, match="reads back differently"):
        replace(esp, NEW)
    assert read(esp, "EFI") == in_capitals(OLD)


def test_an_image_of_the_tools_is_not_changed_by_tidying(tmp_path):
    esp = write_partition(tmp_path / "esp", below("EFI", OLD))
    before = Image.from_bytes(esp.read_bytes())
    with Partition(str(esp)) as partition:
        Volume(partition).tidy()
    assert esp.read_bytes() == before.read(0, before.size)
