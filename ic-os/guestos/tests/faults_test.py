"""What can go wrong with an upgrade, and what each must come to: a refusal, or a slot that nothing takes for whole.

The numbers in names are those of the list of faults in doc/Upgrade.adoc.
"""

import errno
import fcntl
import gzip
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from file_machine import SIZES
from guestos import boot_state, durable, grubenv, partition, slots
from guestos.boot_state import DAMAGED, FAILSAFE_CHECK, FIRST_BOOT, STABLE, BootState
from update_images import MIB, make_key

from tools.image.archive import Member
from tools.image.extents import Data, Extent, Image, Pattern

REFUSED_STATE, REFUSED_IMAGE, BUSY, FAILED = 3, 4, 5, 1


@pytest.fixture
def refused(machine, capsys):
    """Runs manageboot.sh, which must refuse: the status, one line that says a text, and no byte changed on the disk."""

    def check(status, message, *arguments):
        before = machine.snapshot()
        capsys.readouterr()
        assert machine(*arguments) == status
        error = capsys.readouterr().err
        assert error.startswith("manageboot.sh: ")
        assert error.count("\n") == 1
        assert message in error
        assert machine.snapshot() == before
        assert machine.read_state() == BootState("A", STABLE, "A")

    return check


@pytest.fixture
def spoiled(machine, update_tar, capsys):
    """Runs an installation, which must fail after it began: the slot is bad, commit refuses, a retry succeeds."""

    def check(status, message, path):
        capsys.readouterr()
        assert machine("upgrade-install", path) == status
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert message in error
        check_bad(machine, update_tar)

    return check


def check_bad(machine, good):
    """Checks that slot B is bad and A stays, and that an installation of a good image mends that."""
    assert machine.slot("B").state in (slots.INSTALLING, slots.FAILED)
    assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine.partition("B", "boot").read_bytes()[:MIB] == bytes(MIB), "no boot loader can start it"
    assert machine.partition("B", "var").read_bytes()[:MIB] == bytes(MIB)
    assert machine("upgrade-commit") == REFUSED_STATE
    assert not machine.rebooted
    assert machine("upgrade-install", good) == 0
    assert machine("upgrade-commit") == 0


def changed(path, offset, data, output):
    """Writes a copy of a file with other bytes at an offset."""
    shutil.copy(path, output)
    with open(output, "r+b") as file:
        file.seek(offset, os.SEEK_SET if offset >= 0 else os.SEEK_END)
        file.write(data)
    return output


# --- the update image


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"y" * 2000, "the archive is not a tar of the formats ustar or pax"),
        (b"x" * 2000, "the archive is damaged, or is not a tar"),
        (bytes(1024), "the archive is cut off"),
        (bytes(10240), "the archive has its end where manifest.json should be"),
        (b"x", "the archive is cut off"),
        (b"\x1f\x8bxxxx", "is damaged"),
        (b"\x28\xb5\x2f\xfdxxxx", "is damaged or cut off"),
        (b"BZh91AY&SY", "the archive is cut off"),
    ],
)
def test_01_no_update_image(refused, tmp_path, data, message):
    (tmp_path / "x").write_bytes(data)
    refused(REFUSED_IMAGE, message, "upgrade-install", tmp_path / "x")


def test_01_missing(refused, tmp_path):
    refused(FAILED, "none: cannot be read: No such file", "upgrade-install", tmp_path / "none")
    refused(FAILED, "cannot be read: Is a directory", "upgrade-install", tmp_path)
    refused(FAILED, "manifest.json: cannot be read: No such file", "upgrade-install", tmp_path / "b", tmp_path / "r")


def cuts(size):
    """Places to cut a file at: the ends of its structures, and some between."""
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


def test_05_signature_missing(refused, update, tmp_path):
    refused(REFUSED_IMAGE, "the update is not signed", "upgrade-install", update.but(signers=()).write(tmp_path / "x"))
    folder = update.unpack(tmp_path / "unpacked")
    (folder / "manifest.json.sig").unlink()
    arguments = "upgrade-install", folder / "boot.img", folder / "root.img"
    refused(REFUSED_IMAGE, "the update is not signed", *arguments)
    (folder / "manifest.json.sig").write_bytes(b"")
    refused(REFUSED_IMAGE, "the update is not signed", *arguments)
    (folder / "manifest.json.sig").write_bytes(b"s" * 64)
    refused(REFUSED_IMAGE, "the signature is damaged, or of a kind that is not known", *arguments)


def test_05_signature_wrong(refused, update, tmp_path):
    folder = update.unpack(tmp_path / "unpacked")
    for name in ("manifest.json", "manifest.json.sig"):
        path = folder / name
        good = path.read_bytes()
        at = good.index(b"1.2.4") + 4 if name == "manifest.json" else len(good) - 3
        path.write_bytes(good[:at] + (b"5" if good[at:][:1] != b"5" else b"6") + good[at + 1 :])
        arguments = "upgrade-install", folder / "boot.img", folder / "root.img"
        refused(REFUSED_IMAGE, "the signature of the update is wrong", *arguments)
        path.write_bytes(good)


def test_05_key_unknown(refused, update, tmp_path):
    path = update.but(signers=("stranger",)).write(tmp_path / "x")
    refused(REFUSED_IMAGE, "a key that this system does not know", "upgrade-install", path)


def test_05_key_expired(machine, refused, update_tar):
    key = machine.folder / "share/update-keys/test.pem"
    text = key.read_text()
    key.write_text(f"Expires: 2026-05-31\n{text}")
    refused(REFUSED_IMAGE, "a key that expired on 2026-05-31", "upgrade-install", update_tar)
    key.write_text(f"Expires: 2026-06-01\n{text}")
    assert machine("upgrade-install", update_tar) == 0, "a key is good through its last day"


def test_05_key_revoked(machine, refused, update, update_tar):
    manifest = update.signatures(update.manifest).split()[1].decode()
    (machine.folder / "share/update-keys/revoked").write_text(f"# Stolen.\n{manifest}  # test\n")
    refused(REFUSED_IMAGE, "signed by a revoked key", "upgrade-install", update_tar)
    (machine.folder / "share/update-keys/revoked").write_text("nonsense\n")
    refused(FAILED, "'nonsense' is not the id of a key", "upgrade-install", update_tar)


def test_05_no_key(machine, refused, update_tar):
    (machine.folder / "share/update-keys/test.pem").unlink()
    refused(REFUSED_IMAGE, "this system has no key for updates", "upgrade-install", update_tar)


def test_05_keys_are_rotated(machine, update, tmp_path, keys):
    both = update.but(signers=("stranger", "test")).write(tmp_path / "both")
    assert machine("upgrade-install", both) == 0, "one signature by a key that is known is enough"
    make_key(keys, "new")
    shutil.copy(keys / "new.pem", machine.folder / "share/update-keys")
    for name in ("test", "new"):
        assert machine("upgrade-install", update.but(signers=(name,)).write(tmp_path / name)) == 0


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
    assert f"where {missing} should be" in capsys.readouterr().err
    if missing in ("manifest.json", "boot.img"):
        assert machine.snapshot() == before
    assert machine("upgrade-commit") == REFUSED_STATE


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("../x", tarfile.REGTYPE, "which is not a plain name"),
        ("/etc/passwd", tarfile.REGTYPE, "which is not a plain name"),
        ("a/b", tarfile.REGTYPE, "which is not a plain name"),
        ("", tarfile.REGTYPE, "which is not a plain name"),
        ("boot.img", tarfile.SYMTYPE, "not a regular file"),
        ("boot.img", tarfile.LNKTYPE, "not a regular file"),
        ("boot.img", tarfile.BLKTYPE, "not a regular file"),
        ("boot.img", tarfile.DIRTYPE, "not a regular file"),
        ("boot.img", tarfile.FIFOTYPE, "not a regular file"),
        ("manifest.json", tarfile.REGTYPE, "twice"),
        ("other", tarfile.REGTYPE, "where boot.img should be"),
    ],
)
def test_08_members_that_have_no_place(refused, update, tmp_path, name, kind, message):
    """The manifest and its signature are good, and what follows is not."""
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
    spoiled(REFUSED_IMAGE, "more, which is no part of an update image", path)


def test_08_something_after_the_end(spoiled, update_tar, tmp_path):
    (tmp_path / "x").write_bytes(update_tar.read_bytes() + b"x" * 512)
    spoiled(REFUSED_IMAGE, "something follows the end of the archive", tmp_path / "x")


def test_09_image_larger_than_its_partition(machine, refused, update_tar):
    for name in ("boot", "root"):
        path = machine.partition("B", name)
        size = path.stat().st_size
        os.truncate(path, 3 * MIB)
        refused(REFUSED_IMAGE, "bytes, and", "upgrade-install", update_tar)
        os.truncate(path, size)


def test_10_decompression_bomb(machine, refused, tmp_path):
    """A manifest that never ends: what is read of it is bounded."""
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


def test_10_memory_is_bounded(update, machine, tmp_path):
    """Peak memory of an installation, measured by the kernel for the process and for the programs that it runs."""
    noise = Pattern(bytes(range(256)) * 5)
    os.truncate(machine.partition("B", "root"), 400 * MIB)
    large = update.but(root=Image(400 * MIB, [Extent(0, 390 * MIB, noise)]))
    for kind in ("tar", "gz", "zst"):
        path = large.write(tmp_path / "large", kind)
        program = (
            "import resource; from guestos.environment import Environment; "
            "from guestos.manageboot import main; "
            f"status = main(['upgrade-install', {str(path)!r}], Environment(**{_plain(machine.environment)!r})); "
            "own = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')); "
            "print(status, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        folder = Path(boot_state.__file__).parents[1]
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True)
        *_, status, own, children = result.stdout.split()
        assert status == "0", result.stderr
        assert int(own) + int(children) < 64 << 10, kind


def _plain(environment):
    names = ("grubenv", "booted", "layout", "devices", "share", "config", "metrics", "command_line")
    return {name: getattr(environment, name) for name in names}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"product": "hostos"}, "for the product hostos, and this system is of guestos"),
        ({"architecture": "aarch64"}, "for the architecture aarch64"),
        ({"layout": "0" * 64}, "for the layout 000"),
        ({"layout": None}, "for the layout None"),
    ],
)
def test_11_for_another_machine(refused, update, tmp_path, changes, message):
    refused(REFUSED_IMAGE, message, "upgrade-install", update.but(**changes).write(tmp_path / "x"))


def test_12_dev_on_prod(machine, refused, update_tar):
    (machine.folder / "share/system.json").write_text('{"product": "guestos", "variant": "prod"}')
    refused(REFUSED_IMAGE, "for the variant dev, and this system is of prod", "upgrade-install", update_tar)


def test_11_a_system_that_does_not_say_what_it_is(machine, refused, update_tar):
    (machine.folder / "share/system.json").write_text("{}")
    refused(FAILED, "this system does not say what it is", "upgrade-install", update_tar)


@pytest.mark.parametrize("where", ["share", "config"])
def test_13_below_the_version_floor(machine, refused, update_tar, where, monkeypatch):
    warnings = []
    monkeypatch.setattr("guestos.journal.warn", warnings.append)
    (machine.folder / where / "version-floor.txt").write_text("1.2.10\n")
    refused(REFUSED_IMAGE, "1.2.4, and this system takes none below 1.2.10", "upgrade-install", update_tar)
    assert machine("upgrade-install", "--allow-downgrade", update_tar) == 0
    assert warnings == ["version 1.2.4 is below 1.2.10, and is installed because of --allow-downgrade"]
    (machine.folder / where / "version-floor.txt").write_text("1.2.4\n")
    assert machine("upgrade-install", update_tar) == 0


def test_13_the_floor_rises_with_what_is_confirmed(machine):
    (machine.folder / "share/version-floor.txt").write_text("2.0\n")
    machine.state("B", FAILSAFE_CHECK, "A")
    machine.runs("B")
    assert machine("confirm") == 0
    assert (machine.folder / "config/version-floor.txt").read_text() == "2.0\n"


def test_14_boot_arguments_for_another_root(spoiled, update, tmp_path):
    path = update.but(boot_root_hash="0" * 64).write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, f"boot.img starts a root with the hash {'0' * 64}, and root.img has another", path)


def test_15_boot_of_another_version(spoiled, update, tmp_path):
    path = update.but(boot_version="1.2.3").write(tmp_path / "x")
    spoiled(REFUSED_IMAGE, "boot.img is of version '1.2.3', and root.img of '1.2.4'", path)


def test_15_version_file_of_another_version(spoiled, update, tmp_path):
    def change(members):
        return [*members[:-1], Member.of("VERSION.TXT", Image.from_bytes(b"1.2.3\n"))]

    spoiled(REFUSED_IMAGE, "VERSION.TXT says", update.but(change_members=change).write(tmp_path / "x"))


def test_15_a_boot_partition_that_is_none(spoiled, update, tmp_path):
    boot = Image(4 * MIB, [Extent(0, 512, Data(b"x" * 512))])
    broken = update.but()
    object.__setattr__(broken, "images", (boot, update.images[1]))
    spoiled(REFUSED_IMAGE, "boot.img: /version.txt cannot be read", broken.write(tmp_path / "x"))


def test_16_the_file_is_exchanged_after_the_check(machine, update, update_tar, tmp_path, monkeypatch):
    """What is written is what was hashed, in the same memory: the file is spoiled as soon as it was read."""
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


# --- installation


def test_18_no_temporary_space(machine, update, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    for kind in ("tar", "gz", "zst"):
        assert machine("upgrade-install", update.write(tmp_path / "x", kind)) == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["pwrite", "fsync", "punch"])
@pytest.mark.parametrize("after", [0, 2, 3])
def test_19_errors_of_the_disk(machine, update_tar, monkeypatch, capsys, number, call, after):
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) > after and not recovered:
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    recovered = False
    owner, name = (partition, "punch_hole") if call == "punch" else (os, call)
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, fail)
    assert machine("upgrade-install", update_tar) == FAILED
    assert os.strerror(number) in capsys.readouterr().err
    recovered = True
    assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine("upgrade-commit") == REFUSED_STATE
    assert machine("upgrade-install", update_tar) == 0


def test_20_a_write_that_is_lost(machine, update_tar, monkeypatch):
    """The disk says that a write was done, and it wasn't: whichever it is, reading back finds it."""
    real = os.pwrite
    places = []

    def write(file, data, offset):
        places.append((os.readlink(f"/proc/self/fd/{file}"), offset))
        return len(data) if len(places) == lost else real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", write)
    lost = 0
    assert machine("upgrade-install", update_tar) == 0
    every = list(places)
    for index, place in enumerate(every, 1):
        if "/dev/" not in place[0]:
            continue
        lost = index
        spoil(machine)
        places.clear()
        assert machine("upgrade-install", update_tar) == FAILED, place
        assert machine("upgrade-commit") == REFUSED_STATE
    assert lost > 6


def spoil(machine):
    """Puts other data into slot B, as an earlier version would be."""
    for name, size in SIZES.items():
        machine.partition("B", name).write_bytes(os.urandom(MIB) * (size // MIB))


def test_20_zeros_that_are_lost(machine, update_tar, monkeypatch, capsys):
    monkeypatch.setattr(partition, "punch_hole", lambda *arguments: None)
    assert machine("upgrade-install", update_tar) == FAILED
    assert "cannot be wiped" in capsys.readouterr().err
    assert machine("upgrade-commit") == REFUSED_STATE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_22_killed(machine, update, update_tar, tmp_path, number):
    """Ended in the middle of a stream that stalls, once it has begun to write."""
    whole = update_tar.read_bytes()
    program = (
        "from guestos.environment import Environment; from guestos.manageboot import main; "
        f"main(['upgrade-install', '-'], Environment(**{_plain(machine.environment)!r}))"
    )
    folder = Path(boot_state.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(folder)},
    ) as process:
        process.stdin.write(whole[: len(whole) * 3 // 4])
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while machine.slot("B") is None and time.monotonic() < deadline:
            os.sched_yield()
        assert machine("upgrade-install", update_tar) == BUSY, "two at once"
        process.send_signal(number)
        process.wait(30)
        process.stdin.close()
    assert machine.slot("B").state == slots.INSTALLING
    assert machine("upgrade-commit") == REFUSED_STATE
    check_bad(machine, update_tar)


def test_23_two_at_once(machine, refused, update_tar):
    descriptor = os.open(os.path.dirname(machine.environment.grubenv), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        refused(BUSY, "another manageboot.sh is at work", "upgrade-install", update_tar)
        refused(BUSY, "another manageboot.sh is at work", "upgrade-commit")
        assert machine("confirm") == 0, "which has nothing to do"
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("name", ["boot", "root", "var"])
def test_24_target_in_use(machine, refused, update_tar, name):
    with open(machine.partition("B", name), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        refused(BUSY, f"B_{name}: is locked by another program", "upgrade-install", update_tar)
    assert machine("upgrade-install", update_tar) == 0


@pytest.mark.parametrize("name", ["boot", "root", "var"])
def test_25_target_is_what_runs(machine, refused, update_tar, name):
    machine.partition("B", name).unlink()
    machine.partition("B", name).symlink_to(machine.partition("A", name))
    refused(REFUSED_STATE, f"A_{name}, which belongs to the slot that runs", "upgrade-install", update_tar)


def test_26_a_retry_is_a_full_installation(machine, update, update_tar):
    assert machine("upgrade-install", update_tar) == 0
    machine.partition("B", "root").write_bytes(bytes(12 * MIB))
    assert machine("upgrade-install", update_tar) == 0
    assert machine.holds("B", "root", update.images[1])


@pytest.mark.parametrize("cycle", [FIRST_BOOT, FAILSAFE_CHECK, "", "nonsense"])
@pytest.mark.parametrize("alternative", ["A", "B"])
def test_27_not_confirmed(machine, update_tar, capsys, cycle, alternative):
    machine.state(alternative, cycle, "A")
    before = machine.snapshot()
    assert machine("upgrade-install", update_tar) == REFUSED_STATE
    assert "an upgrade needs a confirmed system" in capsys.readouterr().err
    assert machine("upgrade-commit") == REFUSED_STATE
    assert machine.snapshot() == before


# --- commit, boot, confirm


def test_30_commit_without_an_installation(refused):
    refused(REFUSED_STATE, "nothing was installed there", "upgrade-commit")


def test_30_commit_of_what_was_changed_since(machine, update_tar, capsys):
    for name in ("boot", "root"):
        assert machine("upgrade-install", update_tar) == 0
        with open(machine.partition("B", name), "r+b") as file:
            os.pwrite(file.fileno(), b"changed", 2000)
        assert machine("upgrade-commit") == REFUSED_STATE
        assert f"B_{name}: was changed since the installation" in capsys.readouterr().err
        assert machine.slot("B").state == slots.READY


def test_30_a_note_that_cannot_be_read(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    for text in ("", "{}", '{"state": "ready"}', '{"state": "unheard of", "heads": []}', "[]"):
        (machine.folder / "config/slots/B.json").write_text(text)
        assert machine("upgrade-commit") == REFUSED_STATE
        assert "slot B cannot be booted" in capsys.readouterr().err


@pytest.mark.parametrize("data", [b"", b"# GRUB", os.urandom(1024), b"\0" * 1024, b"#" * 1024])
def test_32_damaged_grubenv(machine, update_tar, data, capsys):
    for confirmed in "AB":
        machine.state(confirmed, STABLE, confirmed)
        Path(machine.environment.grubenv).write_bytes(data)
        decision = boot_state.decide(machine.read_state())
        assert (decision.slot, decision.reason) == (confirmed, DAMAGED)
        machine.runs(confirmed, DAMAGED)
        capsys.readouterr()
        assert machine("status") == 0
        assert f"The boot state was damaged: slot {confirmed} was booted" in capsys.readouterr().out
        assert machine("upgrade-install", update_tar) == REFUSED_STATE
        assert machine("confirm") == 0
        assert machine.read_state() == BootState(confirmed, STABLE, confirmed)


@pytest.mark.parametrize("value", ["$(touch rebooted)", "`touch rebooted`", "A; touch rebooted", "A\nx=y", "'"])
def test_33_shell_characters(machine, value):
    text = f"# GRUB Environment Block\nboot_alternative={value}\nboot_cycle={value}\n".encode()
    Path(machine.environment.grubenv).write_bytes(text.ljust(1024, b"#"))
    assert machine("status") == 0
    assert machine("confirm") == 0
    assert not machine.rebooted


def test_37_confirm_before_the_reboot(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    before = machine.snapshot()
    assert machine("confirm") == REFUSED_STATE
    assert "reboot before you confirm what was never booted" in capsys.readouterr().err
    assert machine.snapshot() == before


def test_39_confirm_again_writes_nothing(machine, update_tar, monkeypatch):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    machine.boot()
    assert machine("confirm") == 0

    def refuse(*arguments):
        raise AssertionError("a write")

    monkeypatch.setattr("guestos.status.write_metrics", lambda environment: None)  # which are in memory
    for name in ("pwrite", "ftruncate", "fsync", "replace", "mkdir", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    before = machine.snapshot()
    assert machine("confirm") == 0
    assert machine.snapshot() == before


def test_42_a_boot_state_of_another_loader(machine):
    """One that knows no file `confirmed`, as its own state is all that it has."""
    os.unlink(boot_state.confirmed_path(machine.environment.grubenv))
    grubenv.write(machine.environment.grubenv, {"boot_alternative": "B", "boot_cycle": STABLE, "more": "x"})
    assert machine.boot().slot == "B"
    assert machine("confirm") == 0
    assert machine.read_state() == BootState("B", STABLE, "B")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_44_grubenv_cannot_be_written(machine, update_tar, monkeypatch, capsys, number):
    machine("upgrade-install", update_tar)
    state = Path(machine.environment.grubenv).read_bytes()
    real = os.pwrite

    def write(file, data, offset):
        if os.path.samestat(os.fstat(file), os.stat(machine.environment.grubenv)):
            raise OSError(number, os.strerror(number))
        return real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", write)
    assert machine("upgrade-commit") == FAILED
    assert "grubenv: cannot be written" in capsys.readouterr().err
    assert not machine.rebooted
    assert Path(machine.environment.grubenv).read_bytes() == state
    monkeypatch.setattr(os, "pwrite", real)
    assert machine.slot("B").state == slots.READY
    assert machine("upgrade-commit") == 0, "once it can be written"


def test_44_the_config_store_is_full(machine, update_tar, monkeypatch, refused):
    def full(path, data):
        raise durable.GuestError(f"{path}: cannot be written: No space left on device")

    monkeypatch.setattr(durable, "replace", full)
    (machine.folder / "config/slots").mkdir()
    refused(FAILED, "B.json: cannot be written: No space left", "upgrade-install", update_tar)


def test_44_no_reboot(machine, update_tar, capsys):
    machine("upgrade-install", update_tar)
    object.__setattr__(machine.environment, "reboot", ("/bin/false",))
    assert machine("upgrade-commit") == FAILED
    assert "does not start over by itself" in capsys.readouterr().err


def test_files_keep_their_modes(machine, update_tar):
    machine("upgrade-install", update_tar)
    status = os.stat(machine.folder / "config/slots/B.json")
    assert stat.S_IMODE(status.st_mode) & 0o022 == 0


def test_36_a_new_system_that_is_not_confirmed_in_time(machine, update_tar):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit", "--no-reboot")
    assert machine("end-trial") == 0
    assert not machine.rebooted, "it does not run yet"
    machine.boot()
    assert machine("end-trial") == 0
    assert machine.rebooted
    assert machine.boot().slot == "A"
    assert machine("end-trial") == 0
    assert not machine.rebooted, "the old system stays"


def test_36_a_new_system_that_was_confirmed(machine, update_tar):
    machine("upgrade-install", update_tar)
    machine("upgrade-commit")
    machine.boot()
    assert machine("confirm") == 0
    assert machine("end-trial") == 0
    assert not machine.rebooted
