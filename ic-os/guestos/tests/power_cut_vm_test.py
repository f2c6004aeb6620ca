"""The boot loader boots a good slot of the disks that a power cut may leave in each phase of an upgrade."""

import os
import shutil
from pathlib import Path

import pytest
from file_machine import FileMachine
from guestos import boot_state
from guestos.boot_state import decide
from loader_machine import Booted, find_loader
from power_cut import PHASES, copy_disk, cuts, holds_whole, record_upgrade, replay
from update_images import Kernel, boot_image

from tools.image.extents import Image
from tools.image.rawfile import open_raw

BUILT = Path(os.environ.get("TEST_SRCDIR", Path(__file__).parents[3]), os.environ.get("TEST_WORKSPACE", ""))
SAMPLE = {"install": 6, "commit": 3, "boot": 3, "confirm": 3}
"""The number of power cuts that are tried in each phase, evenly spread over it."""
CASES = [(phase, number) for phase, count in SAMPLE.items() for number in range(count)]


@pytest.fixture(scope="module")
def kernel():
    """The GuestOS's kernel; the test only waits for its first output."""
    return Kernel(open_raw(BUILT / "ic-os/guestos/dev/initrd.vmlinuz"), Image.from_bytes(b"no archive".ljust(4096)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("power_cut")


@pytest.fixture(scope="module")
def upgraded(folder, update, kernel, keys):
    """An upgrade to a system with the GuestOS's kernel: update image, machine, copy of the disk from before, events."""
    bootable = update.but(kernel=kernel)
    machine = FileMachine(folder / "machine", bootable.images[0].size)
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    before = folder / "before"
    before.mkdir()
    events = record_upgrade(machine, bootable.write(folder / "update-img.tar"), before)
    return bootable, machine, before, events


@pytest.fixture(scope="module")
def loader(folder, kernel):
    """The machine that boots; slot A has the system from before the upgrade."""
    (folder / "loader").mkdir()
    with find_loader(BUILT)(folder / "loader", boot_image=boot_image("1.2.3", "00ff", kernel)) as machine:
        yield machine


@pytest.mark.parametrize(("phase", "number"), CASES, ids=str)
def test_21_31_a_good_slot_boots(upgraded, loader, tmp_path, phase, number):
    update, recorded, before, events = upgraded
    possible = [cut for cut in cuts(events) if cut.done and events[cut.done - 1].label == phase]
    cut = possible[number * (len(possible) - 1) // (SAMPLE[phase] - 1)]
    after = FileMachine(tmp_path / "after", recorded.boot_size)
    copy_disk(before, after.folder)
    replay(events, cut, recorded.folder, after.folder)
    expected = decide(after.read_state())

    loader.put({path.name: path.read_bytes() for path in (after.folder / "grub").iterdir()})
    loader.put_partition("B_boot", after.partition("B", "boot"))
    assert loader.boot() == Booted(expected.slot, expected.reason)
    assert expected.slot == "A" or holds_whole(after, "B", update)
    for name in ("grubenv", "confirmed"):
        (tmp_path / name).write_bytes(loader.stored(name))
    assert boot_state.read(str(tmp_path / "grubenv")) == expected.after


def test_every_phase_is_sampled():
    assert set(SAMPLE) == set(PHASES)
