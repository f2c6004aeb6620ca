"""Files that are damaged update images, or not update images.

The numbers in the names of tests are those of the faults in doc/Upgrade.adoc.
"""

import gzip
import io
import os
import shutil
import tarfile
import time

import pytest
from fault_checks import FAILED, REFUSED_IMAGE, REFUSED_STATE, check_bad
from file_machine import both_modes
from guestos import partition, slots
from guestos.booted import OWN_KEYS
from update_images import MIB, REASONS

from tools.image.extents import Data, Extent, Image, Pattern
from tools.tar.sparse_archive import Member


def changed(path, offset, data, output):
    """Writes a copy of a file with other bytes at an offset; a negative one counts from the end."""
    shutil.copy(path, output)
    with open(output, "r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(data)
    return output


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"y" * 2000, "the archive is not a tar in the format ustar or pax"),
        (b"x" * 2000, "the archive is damaged, or is not a tar"),
        (bytes(1024), "the archive is truncated"),
        (bytes(10240), "the archive ends where manifest.json is expected"),
        (b"x", "the archive is truncated"),
        (b"\x1f\x8bxxxx", "is damaged"),
        (b"\x28\xb5\x2f\xfdxxxx", "is damaged or truncated"),
        (b"BZh91AY&SY", "the archive is truncated"),
    ],
)
def test_01_not_an_update_image(refused, tmp_path, data, message):
    (tmp_path / "x").write_bytes(data)
    refused(REFUSED_IMAGE, message, "upgrade-install", tmp_path / "x")


def test_01_missing(refused, tmp_path):
    refused(FAILED, "none: cannot be read: No such file", "upgrade-install", tmp_path / "none")
    refused(FAILED, "is not a regular file", "upgrade-install", tmp_path)
    refused(FAILED, "manifest.json: cannot be read: No such file", "upgrade-install", tmp_path / "b", tmp_path / "r")


def test_01_a_pipe_is_not_waited_for(refused, tmp_path):
    """The orchestrator names the file, in a folder that it writes to, and root opens it."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        refused(FAILED, f"{name}: is not a regular file", "upgrade-install", tmp_path / name)
        manifest = f"--manifest={tmp_path / name}"
        refused(FAILED, f"{name}: is not a regular file", "upgrade-install", manifest, __file__, __file__)


def cuts(size):
    """Returns lengths to truncate a file to: the ends of its structures, and some between."""
    return sorted({1, 2, 4, 18, 511, 512, 513, 1024, size // 4, size // 2, 3 * size // 4, size - 10, size - 1} - {0})


@pytest.mark.parametrize("kind", ["tar", "gz", "zst"])
def test_02_truncated(machine, update, update_tar, tmp_path, kind):
    whole = update.write(tmp_path / "whole", kind).read_bytes()
    began = 0
    for length in cuts(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        before = machine.snapshot()
        assert machine("upgrade-install", tmp_path / "cut") == REFUSED_IMAGE, length
        if machine.slot("B") is None:
            assert machine.snapshot() == before
        else:
            began += 1
            assert machine.slot("B").state == slots.FAILED
            assert machine("upgrade-commit") == REFUSED_STATE
    assert began > 3
    check_bad(machine, update_tar)


def test_02_truncated_at_every_block_of_the_head(machine, update_tar, tmp_path):
    whole = update_tar.read_bytes()
    before = machine.snapshot()
    for length in range(0, whole.index(b"boot.img\0"), 256):
        (tmp_path / "cut").write_bytes(whole[:length])
        assert machine("upgrade-install", tmp_path / "cut") == REFUSED_IMAGE
    assert machine.snapshot() == before


@pytest.mark.parametrize("name", ["boot.img", "root.img"])
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_03_04_a_bit_flips(spoiled, update_tar, tmp_path, name, place):
    with tarfile.open(update_tar) as tar:
        member = tar.getmember(name)
        stored = [offset for offset, length in member.sparse if length]
        data = sum(length for _, length in member.sparse)
    assert len(stored) > 1
    offset = {"first": 0, "middle": data // 2, "last": data - 1}[place]
    byte = update_tar.read_bytes()[member.offset_data + offset]
    path = changed(update_tar, member.offset_data + offset, bytes([byte ^ 0x10]), tmp_path / "flipped")
    spoiled(REFUSED_IMAGE, f"{name} is damaged", path)


def test_03_a_hole_moves(spoiled, update, tmp_path):
    def move(members):
        root = update.images[1]
        moved = Image(root.size, [extent.moved(512) for extent in root.extents[:-1]])
        return [Member.of("root.img", moved) if member.name == "root.img" else member for member in members]

    spoiled(REFUSED_IMAGE, "root.img is damaged", update.but(change_members=move).write(tmp_path / "moved"))


@pytest.mark.parametrize("gib", [2, 4])
def test_06_larger_than_counters(machine, update, tmp_path, gib, capsys):
    size = (gib << 30) + 3 * MIB + 4096
    with open(machine.partition("B", "root"), "r+b") as file:
        file.truncate(size)
    far = [Extent(gib << 30, 4096, Pattern(b"far")), Extent(size - 4096, 4096, Pattern(b"end"))]
    root = Image(size, [Extent(0, 4096, Pattern(b"begin")), *far])
    large = update.but(root=root)
    path = large.write(tmp_path / "large")
    assert machine("upgrade-install", path) == 0, capsys.readouterr().err
    with open(machine.partition("B", "root"), "rb") as file:
        assert os.pread(file.fileno(), 8192, gib << 30) == root.read(gib << 30, 8192)
    with tarfile.open(path) as tar:
        member = tar.getmember("root.img")
        last = member.offset_data + sum(length for _, length in member.sparse) - 1
    assert machine("upgrade-install", changed(path, last, b"X", tmp_path / "flipped")) == REFUSED_IMAGE


@pytest.mark.parametrize("missing", ["manifest.json", "boot.img", "root.img", "VERSION.TXT"])
def test_07_member_missing(machine, update, tmp_path, missing, capsys):
    without = update.but(change_members=lambda members: [each for each in members if each.name != missing])
    before = machine.snapshot()
    assert machine("upgrade-install", without.write(tmp_path / "x")) == REFUSED_IMAGE
    assert f"where {missing} is expected" in capsys.readouterr().err
    if missing in ("manifest.json", "boot.img"):
        assert machine.snapshot() == before
    assert machine("upgrade-commit") == REFUSED_STATE


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("../x", tarfile.REGTYPE, "which is not a plain file name"),
        ("/etc/passwd", tarfile.REGTYPE, "which is not a plain file name"),
        ("a/b", tarfile.REGTYPE, "which is not a plain file name"),
        ("", tarfile.REGTYPE, "which is not a plain file name"),
        ("boot.img", tarfile.SYMTYPE, "not a regular file"),
        ("boot.img", tarfile.LNKTYPE, "not a regular file"),
        ("boot.img", tarfile.BLKTYPE, "not a regular file"),
        ("boot.img", tarfile.DIRTYPE, "not a regular file"),
        ("boot.img", tarfile.FIFOTYPE, "not a regular file"),
        ("manifest.json", tarfile.REGTYPE, "twice"),
        ("other", tarfile.REGTYPE, "where boot.img is expected"),
    ],
)
def test_08_members_that_are_not_allowed(refused, update, tmp_path, name, kind, message):
    """A valid manifest and signature, followed by a member that is not allowed."""
    output = io.BytesIO()
    manifest = update.manifest
    with tarfile.open(fileobj=output, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for each, data in (("manifest.json", manifest), ("manifest.json.sig", update.signatures(manifest))):
            info = tarfile.TarInfo(each)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo(name)
        info.type = kind
        info.linkname = "x" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
        tar.addfile(info)
    (tmp_path / "x").write_bytes(output.getvalue())
    refused(REFUSED_IMAGE, message, "upgrade-install", tmp_path / "x")


def test_08_members_after_the_last(spoiled, update, tmp_path):
    more = [Member.of("more", Image.from_bytes(b"x"))]
    path = update.but(change_members=lambda members: members + more).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, "more, which is not part of an update image", path)


def test_08_data_after_the_end(spoiled, update_tar, tmp_path):
    (tmp_path / "x").write_bytes(update_tar.read_bytes() + b"x" * 512)
    spoiled(REFUSED_IMAGE, "there is data after the end of the archive", tmp_path / "x")


def test_09_image_larger_than_its_partition(machine, refused, update_tar):
    for name in ("boot", "root"):
        path = machine.partition("B", name)
        size = path.stat().st_size
        os.truncate(path, 3 * MIB)
        refused(REFUSED_IMAGE, f"B_{name} only {3 * MIB}", "upgrade-install", update_tar)
        os.truncate(path, size)


def test_10_decompression_bomb(machine, refused, tmp_path):
    """The manifest is declared with 6 GiB of zeros: it is refused without being decompressed."""
    info = tarfile.TarInfo("manifest.json")
    info.size = 6 << 30
    zeros = gzip.compress(bytes(64 * MIB), 9)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(info.tobuf()) + zeros * 20)
    started = time.process_time()
    refused(REFUSED_IMAGE, "manifest.json has", "upgrade-install", tmp_path / "bomb.gz")
    assert time.process_time() - started < 5


def test_10_an_image_that_is_larger_than_declared(spoiled, update, tmp_path):
    def inflate(members):
        return [
            Member("root.img", 1 << 40, member.parts) if member.name == "root.img" else member for member in members
        ]

    path = update.but(change_members=inflate).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, "where the manifest has root.img of", path)


@both_modes
def test_14_boot_arguments_for_another_root(spoiled, update, tmp_path):
    path = update.but(boot_root_hash="0" * 64).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, f"boot.img expects the root hash {'0' * 64}, but root.img has {update.hash}", path)


@both_modes
def test_15_boot_of_another_version(spoiled, update, tmp_path):
    path = update.but(boot_version="1.2.3").write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, "boot.img has version '1.2.3', but the manifest has '1.2.4'", path)


@both_modes
def test_15_boot_for_the_other_mode_of_trust(machine, spoiled, update, tmp_path):
    """The manifest has the mode of this machine, whose boot loader would not start it."""
    path = update.but(own_keys=not update.own_keys, trust=machine.trust).write(tmp_path / "x")
    missing = "extra_boot_args" if not update.own_keys else "stable/uki.efi.sig"
    spoiled(REFUSED_IMAGE, f"boot.img: /{missing} cannot be read", path)


@pytest.mark.parametrize("trust", [OWN_KEYS], indirect=True)
@pytest.mark.parametrize("missing", REASONS)
def test_15_boot_without_the_path_of_a_boot_reason(spoiled, update, tmp_path, missing):
    """With it the system would be started after some boots only."""
    path = update.but(boot_reasons=[reason for reason in REASONS if reason != missing]).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, f"boot.img: /{missing}/uki.efi.sig cannot be read", path)


@pytest.mark.parametrize("trust", [OWN_KEYS], indirect=True)
def test_46_boot_with_another_rollback_index(spoiled, update, tmp_path):
    path = update.but(rollback_index=7, boot_rollback_index=6).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, "boot.img has the rollback index 6, but the manifest has 7", path)


def test_15_version_file_of_another_version(spoiled, update, tmp_path):
    def change(members):
        return [*members[:-1], Member.of("VERSION.TXT", Image.from_bytes(b"1.2.3\n"))]

    spoiled(REFUSED_IMAGE, "VERSION.TXT contains", update.but(change_members=change).write(tmp_path / "x"))


@both_modes
def test_15_a_boot_image_without_a_file_system(spoiled, update, tmp_path):
    boot = Image(4 * MIB, [Extent(0, 512, Data(b"x" * 512))])
    broken = update.but()
    object.__setattr__(broken, "images", (boot, update.images[1]))
    spoiled(REFUSED_IMAGE, "boot.img: /version.txt cannot be read", broken.write(tmp_path / "x"))


def test_16_the_file_is_exchanged_after_the_check(machine, update, update_tar, tmp_path, monkeypatch):
    """The file is overwritten as soon as it has been read: only data that was hashed is written."""
    path = shutil.copy(update_tar, tmp_path / "x")
    real = partition.Partition.write
    written = {}

    def write(self, offset, data):
        with open(path, "r+b") as file:
            file.write(bytes(8 * MIB))
        real(self, offset, data)
        written[self.path, offset] = data

    monkeypatch.setattr(partition.Partition, "write", write)
    assert machine("upgrade-install", path) == REFUSED_IMAGE
    assert machine("upgrade-commit") == REFUSED_STATE
    boot, root = update.images
    assert written
    for (name, offset), data in written.items():
        assert data == (boot if name.endswith("boot") else root).read(offset, len(data))
