"""In both modes of trust, the boot loader boots a good slot of the disks that a power cut in an upgrade may leave."""

import os
import shutil
from pathlib import Path

import pytest
from file_machine import FileMachine, both_modes
from guestos.boot_state import decide
from guestos.booted import DISTRIBUTION, OWN_KEYS
from loader_machine import Booted, LoaderMachine, Parts, find_loader
from power_cut import PHASES, copy_disk, cuts, holds_whole, record_upgrade, replay
from update_images import REASONS, Kernel, SignedKernel, boot_image, signed_boot_image

from tools.image.extents import Image
from tools.image.rawfile import open_raw
from tools.testing.machines import emulator
from tools.testing.own_keys import loader_signature, own_firmware, signed_program

BUILT = Path(os.environ.get("TEST_SRCDIR", Path(__file__).parents[3]), os.environ.get("TEST_WORKSPACE", ""))
KERNEL = BUILT / "ic-os/guestos/dev/initrd.vmlinuz"
STUB = BUILT / "ic-os/guestos/dev/own-keys-uki.stub"
OWN_ESP = BUILT / "ic-os/guestos/dev/own-keys-esp.img.tar"
KEYS = [BUILT / f"ic-os/guestos/secure-boot-keys/test-only.{suffix}" for suffix in ("key.pem", "pem")]
INITRAMFS = Image.from_bytes(b"no archive".ljust(4096))
"""The test only waits for the kernel's first output."""

SAMPLE = {"install": 6, "commit": 3, "boot": 3, "confirm": 3}
"""The number of power cuts that are tried in each phase, evenly spread over it."""
CASES = [(phase, number) for phase, count in SAMPLE.items() for number in range(count)]


def sign(image):
    """Returns a kernel image with a signature for the firmware, and its signature for the boot loader."""
    program = signed_program(image, *KEYS)
    return program, loader_signature(program, KEYS[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("power_cut")


@pytest.fixture(scope="module")
def kernels():
    """Attributes of an update image that the machine can start, by mode of trust."""
    return {
        DISTRIBUTION: {"kernel": Kernel(open_raw(KERNEL), INITRAMFS)},
        OWN_KEYS: {"signed_kernel": SignedKernel(open_raw(KERNEL), INITRAMFS, open_raw(STUB), sign)},
    }


@pytest.fixture(scope="module")
def upgraded(folder, update, kernels, keys, trust):
    """An upgrade to a system with the GuestOS's kernel: update image, machine, copy of the disk from before, events."""
    bootable = update.but(**kernels[trust])
    machine = FileMachine(folder / trust, bootable.images[0].size, trust)
    shutil.copy(keys / "test.pem", machine.folder / "share/update-keys")
    before = folder / f"{trust}-before"
    before.mkdir()
    events = record_upgrade(machine, bootable.write(folder / f"{trust}.tar"), before)
    return bootable, machine, before, events


@pytest.fixture(scope="module")
def loader(folder, kernels, trust):
    """The machine that boots; slot A has the system from before the upgrade."""
    place = folder / f"{trust}-loader"
    place.mkdir()
    if trust == DISTRIBUTION:
        found = find_loader(BUILT)(place, boot_image=boot_image("1.2.3", "00ff", **kernels[trust]))
    else:
        own = emulator()
        own["firmware"] = own_firmware(place, KEYS[1])
        parts = Parts(esp=OWN_ESP, kernel=KERNEL, initramfs=KERNEL)
        system = signed_boot_image("1.2.3", "00ff", 0, REASONS, *kernels[trust].values())
        found = LoaderMachine(own, parts, place, boot_image=system)
    with found as machine:
        yield machine


@both_modes
@pytest.mark.parametrize(("phase", "number"), CASES, ids=str)
def test_21_31_a_good_slot_boots(upgraded, loader, tmp_path, trust, phase, number):
    update, recorded, before, events = upgraded
    possible = [cut for cut in cuts(events) if cut.done and events[cut.done - 1].label == phase]
    cut = possible[number * (len(possible) - 1) // (SAMPLE[phase] - 1)]
    after = FileMachine(tmp_path / "after", recorded.boot_size, trust)
    copy_disk(before, after.folder)
    replay(events, cut, recorded.folder, after.folder)
    expected = decide(after.read_state())

    loader.put({path.name: path.read_bytes() for path in (after.folder / "grub").iterdir()})
    loader.put_partition("B_boot", after.partition("B", "boot"))
    assert loader.boot() == Booted(expected.slot, expected.reason)
    assert expected.slot == "A" or holds_whole(after, "B", update)
    assert loader.read_state() == expected.after


def test_every_phase_is_sampled():
    assert set(SAMPLE) == set(PHASES)
