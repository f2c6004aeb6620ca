"""The update of the boot loader by a confirmed system: when it happens, what is refused, and what is left then."""

import os
import struct
from collections import Counter

import pytest
from fault_checks import BUSY, REFUSED_IMAGE, REFUSED_STATE
from file_machine import both_modes
from guestos import booted, loader
from guestos.errors import ImageError, StateError
from guestos.partition import Partition
from loader_files import (
    SIZE,
    below,
    bring,
    distribution_loader,
    in_capitals,
    own_loader,
    program,
    read_partition,
    write_partition,
)
from power_cut import Recorder, cuts, replay

from tools.fat.boot import decode
from tools.image.rawfile import open_raw

LEVELS = "SbatLevelRT-605dab50-e046-4300-abb6-3dd810dd8b23"
OLD, NEW = "of the old system", "of the new system"


def loader_of(trust, seed):
    return own_loader(seed) if trust == booted.OWN_KEYS else distribution_loader(seed)


@pytest.fixture
def esp(machine, trust):
    return write_partition(machine.folder / "dev/esp", below("EFI", loader_of(trust, OLD)))


@pytest.fixture
def upgraded(machine, trust, esp, update_tar):
    """A machine with an upgrade in slot B, which is confirmed and brings another boot loader."""
    upgrade(machine, update_tar)
    assert machine("confirm") == 0
    bring(machine.folder / "boot", loader_of(trust, NEW))
    return machine


def upgrade(machine, update_tar):
    assert machine("upgrade-install", update_tar) == 0
    assert machine("upgrade-commit") == 0
    assert machine.boot().slot == "B"


def installed(machine):
    return read_partition(machine.folder / "dev/esp")


def metric(machine):
    return (machine.folder / "metrics/guestos_loader.prom").read_text().splitlines()[-1]


@both_modes
def test_a_confirmed_system_installs_its_loader(upgraded, trust, capsys):
    capsys.readouterr()
    assert upgraded("update-loader") == 0
    assert "the boot loader of version 1.2.4 is installed; the one before is in EFI.OLD" in capsys.readouterr().out
    expected = below("EFI", loader_of(trust, NEW)) | below("EFI.OLD", loader_of(trust, OLD))
    assert installed(upgraded) == in_capitals(expected)
    assert metric(upgraded) == "guestos_loader_current 1"


def test_nothing_is_written_a_second_time(upgraded, capsys):
    assert upgraded("update-loader") == 0
    before = upgraded.snapshot()
    assert upgraded("update-loader") == 0
    assert "the boot loader is that of the system" in capsys.readouterr().out
    assert upgraded.snapshot() == before


def test_what_a_power_cut_left_is_freed(upgraded):
    assert upgraded("update-loader") == 0
    esp = upgraded.folder / "dev/esp"
    good = esp.read_bytes()
    with open(esp, "r+b") as file:
        file.seek(decode(open_raw(esp)).geometry.fat_offset + 2 * 4000)
        file.write(b"\xff\xff")
    assert esp.read_bytes() != good
    assert upgraded("update-loader") == 0
    assert esp.read_bytes() == good


def test_confirm_starts_the_update_once(machine, esp, update_tar):
    upgrade(machine, update_tar)
    started = machine.folder / "updates-loader"
    assert not started.exists()
    assert machine("confirm") == 0
    assert started.exists()
    started.unlink()
    assert machine("confirm") == 0
    assert not started.exists()


def test_an_update_that_cannot_be_started_does_not_fail_the_confirmation(machine, esp, update_tar):
    upgrade(machine, update_tar)
    object.__setattr__(machine.environment, "update_loader", ("/bin/false",))
    assert machine("confirm") == 0
    assert machine.read_state().is_confirmed("B")


def test_a_system_on_trial_changes_nothing(machine, esp, update_tar, capsys):
    upgrade(machine, update_tar)
    bring(machine.folder / "boot", distribution_loader(NEW))
    before = machine.snapshot()
    assert machine("update-loader") == 0
    assert "slot B is not confirmed: the boot loader stays as it is" in capsys.readouterr().out
    assert machine.snapshot() == before


@pytest.mark.parametrize("brings", [False, True])
def test_a_system_as_shipped_changes_nothing(machine, esp, capsys, brings):
    """Nothing says what its boot partition should have; after a fallback to it the newer loader stays."""
    if brings:
        bring(machine.folder / "boot", distribution_loader(NEW))
    before = machine.snapshot()
    assert machine("update-loader") == 0
    assert ("was not installed by an upgrade" if brings else "brings no boot loader") in capsys.readouterr().out
    assert machine.snapshot() == before


@pytest.fixture
def refuses(upgraded, capsys):
    """Returns a function that runs an update, which must be refused and change nothing."""

    def check(status, message):
        before = upgraded.snapshot()
        capsys.readouterr()
        assert upgraded("update-loader") == status
        error = capsys.readouterr().err
        assert error.startswith("manageboot.sh: ")
        assert error.count("\n") == 1
        assert message in error
        assert upgraded.snapshot() == before
        assert metric(upgraded) == "guestos_loader_current 0"
        assert upgraded("confirm") == 0

    return check


def test_49_a_changed_boot_partition_is_no_source(upgraded, refuses):
    with open(upgraded.partition("B", "boot"), "r+b") as file:
        os.pwrite(file.fileno(), b"x", 1 << 20)
    refuses(
        REFUSED_IMAGE, "B_boot: was changed since the installation, in the MiB from byte 1048576 on; no boot loader"
    )


def test_a_manifest_of_another_installation_is_no_proof(upgraded, refuses):
    (upgraded.folder / "config/slots/B.manifest.json").write_text("{}")
    refuses(REFUSED_STATE, "B.manifest.json: ")


def test_49_a_lower_generation_than_that_of_the_installed_loader_is_refused(upgraded, refuses):
    bring(upgraded.folder / "boot", distribution_loader(NEW, grub=program(NEW, "sbat,1\ngrub,4\ngrub.debian,9\n")))
    refuses(REFUSED_STATE, "BOOT/GRUBX64.EFI of this system's boot loader has the SBAT generation 4 of grub, below 5")


def test_revoked_generations_are_refused(upgraded, refuses):
    (upgraded.folder / "variables" / LEVELS).write_bytes(b"\6\0\0\0sbat,1,2030010100\nshim,4\ngrub,6\n")
    refuses(REFUSED_STATE, "SBAT generation 5 of grub, below 6, what this machine's shim demands (SbatLevelRT)")


def test_generations_that_are_not_revoked_are_taken(upgraded):
    (upgraded.folder / "variables" / LEVELS).write_bytes(b"\6\0\0\0sbat,1,2030010100\nshim,4\ngrub,5\n")
    assert upgraded("update-loader") == 0


def test_damaged_revocations_are_an_error(upgraded, refuses):
    (upgraded.folder / "variables" / LEVELS).write_bytes(b"\6\0\0\0sbat")
    refuses(1, f"{LEVELS}: has the line 'sbat' in its SBAT")


def test_what_the_new_shim_revokes_is_refused(upgraded, refuses):
    """A shim with a loader beside it that it does not start would be the end of the machine."""
    levels = struct.pack("<III", 0, 8, 30) + b"sbat,1,2\ngrub,6\n\0sbat,1,3\ngrub,9\n\0"
    shim = program(NEW, "sbat,1\nshim,4\n", levels)
    bring(upgraded.folder / "boot", distribution_loader(NEW, shim))
    refuses(REFUSED_STATE, "SBAT generation 5 of grub, below 6, what the shim beside it demands")


def test_a_program_without_sbat_is_refused(upgraded, refuses):
    bring(upgraded.folder / "boot", distribution_loader(NEW, grub=program(NEW, "")))
    refuses(REFUSED_STATE, "BOOT/GRUBX64.EFI of this system's boot loader has no SBAT")


def without(path):
    return {key: value for key, value in in_capitals(distribution_loader(NEW)).items() if key != path}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("BOOT/BOOTX64.EFI", "has no file BOOT/BOOTX64.EFI"),
        ("BOOT/GRUBX64.EFI", "has no file BOOT/GRUBX64.EFI"),
        ("DEBIAN/GRUB.CFG", "has no configuration, GRUB.CFG"),
    ],
)
def test_49_a_missing_file_is_refused(path, message):
    with pytest.raises(ImageError, match=message):
        loader.check(without(path), {}, {}, booted.DISTRIBUTION)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", "is not a complete PE file"),
        (lambda data: data[:-8], "cut off or damaged"),
        (lambda data: data + bytes(8), "cut off or damaged"),
        (lambda data: data[:300], "is not a complete PE file"),
        (lambda data: bytes(len(data)), "is not a PE file"),
        (lambda data: data.replace(b"d\x86", b"L\x01", 1), "is no program of UEFI for x86-64"),
        (lambda data: data[: 0x80 + 24 + 148] + bytes(4) + data[0x80 + 24 + 152 :], "has no signature"),
        (lambda data: data.replace(b"grub,5", b"grub;5"), "has the line"),
    ],
)
@both_modes
def test_49_a_damaged_program_is_refused(trust, damage, message):
    files = in_capitals(loader_of(trust, NEW))
    path = "BOOT/BOOTX64.EFI" if trust == booted.OWN_KEYS else "BOOT/GRUBX64.EFI"
    with pytest.raises(ImageError, match=f"{path} of this system's boot loader .*{message}"):
        loader.check(files | {path: damage(files[path])}, {}, {}, trust)


def test_any_prefix_of_a_program_is_refused():
    files = in_capitals(own_loader(NEW))
    data = files["BOOT/BOOTX64.EFI"]
    for size in range(0, len(data), 7):
        with pytest.raises(ImageError):
            loader.check({"BOOT/BOOTX64.EFI": data[:size]}, {}, {}, booted.OWN_KEYS)


def test_a_damaged_installed_loader_is_replaced():
    loader.check(in_capitals(own_loader(NEW)), {"BOOT/BOOTX64.EFI": b"damaged"}, {}, booted.OWN_KEYS)


def test_a_component_that_only_one_has_is_no_reason():
    new, old = program(NEW, "sbat,1\ngrub,5\ngrub.a,1\n"), program(OLD, "sbat,1\ngrub,5\ngrub.b,7\n")
    loader.check({"BOOT/BOOTX64.EFI": new}, {"BOOT/BOOTX64.EFI": old}, {}, booted.OWN_KEYS)
    with pytest.raises(StateError, match=r"generation 1 of grub\.a, below 2"):
        loader.check({"BOOT/BOOTX64.EFI": new}, {}, {"grub.a": 2}, booted.OWN_KEYS)


def test_a_partition_in_use_is_refused(upgraded, refuses):
    with Partition(str(upgraded.folder / "dev/esp")):
        refuses(BUSY, "is locked by another program")


def test_a_damaged_partition_is_an_error(upgraded, refuses):
    (upgraded.folder / "dev/esp").write_bytes(bytes(SIZE))
    refuses(1, "has no FAT file system")


def test_a_link_is_not_followed(upgraded, refuses):
    path = upgraded.folder / "boot/esp/EFI/BOOT/grubx64.efi"
    path.unlink()
    path.symlink_to(upgraded.folder / "booted")
    refuses(1, "grubx64.efi: cannot be read")


@both_modes
def test_48_power_cuts(upgraded, trust, esp, tmp_path):
    """After each the machine has the old or the new loader, whole, and the next boot's update completes it."""
    before = esp.read_bytes()
    recorder = Recorder(upgraded.folder)
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        assert upgraded("update-loader") == 0
    after = esp.read_bytes()
    assert {each.path for each in recorder.events if each.kind != "sync"} == {str(esp)}
    loaders = {seed: in_capitals(below("EFI", loader_of(trust, seed))) for seed in (OLD, NEW)}
    found = Counter()
    for each in cuts(recorder.events):
        esp.write_bytes(before)
        replay(recorder.events, each, upgraded.folder, upgraded.folder)
        present = {path: data for path, data in installed(upgraded).items() if path.startswith("EFI/")}
        (seed,) = (seed for seed, files in loaders.items() if files == present)
        found[seed] += 1
        assert upgraded("update-loader") == 0
        assert esp.read_bytes() == after or installed(upgraded).items() >= loaders[NEW].items()
    assert found[OLD] > 10
    assert found[NEW] > 1
