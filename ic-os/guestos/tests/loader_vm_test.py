"""Firmware starts the old boot loader until the one write that switches, and then the new one, in both modes of trust.

The slots are empty: the loader shows by its first message which one it is.
"""

import os
from pathlib import Path

import pytest
from guestos import loader
from guestos.boot_state import STABLE
from guestos.booted import DISTRIBUTION, OWN_KEYS
from guestos.fat import Volume
from guestos.partition import Partition
from loader_files import changed_message, files_of, in_capitals, system_partition
from loader_machine import LoaderMachine, Parts, find_loader
from power_cut import Cut, Recorder, replay

from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.testing.own_keys import own_firmware
from tools.testing.sample_disk import ext4
from tools.tree.node import Directory

BUILT = Path(os.environ.get("TEST_SRCDIR", Path(__file__).parents[3]), os.environ.get("TEST_WORKSPACE", ""))
ESP = {
    DISTRIBUTION: BUILT / "ic-os/guestos/bootloader/esp_image.img.tar",
    OWN_KEYS: BUILT / "ic-os/guestos/dev/own-keys-esp.img.tar",
}
KEYS = (
    BUILT / "ic-os/guestos/secure-boot-keys/test-only.key.pem",
    BUILT / "ic-os/guestos/secure-boot-keys/test-only.pem",
)
SIZE = 100 << 20
OLD, NEW = "Starting SLOT A", "Starting slot A"


@pytest.fixture(params=[DISTRIBUTION, OWN_KEYS])
def trust(request):
    return request.param


@pytest.fixture
def machine(trust, tmp_path):
    empty = {"boot_image": ext4(Directory()), "bootable": ""}
    (tmp_path / "machine").mkdir()
    if trust == DISTRIBUTION:
        made = find_loader(BUILT)(tmp_path / "machine", **empty)
    else:
        own = emulator() | {"firmware": own_firmware(tmp_path, KEYS[1])}
        parts = Parts(esp=ESP[trust], kernel=ESP[trust], initramfs=ESP[trust])
        made = LoaderMachine(own, parts, tmp_path / "machine", **empty)
    with made as machine:
        machine.put_state("A", STABLE, "A")
        yield machine


def test_the_loader_is_the_old_one_until_the_switch(machine, trust, tmp_path):
    new = files_of(open_image(ESP[trust]))
    old = changed_message(new, KEYS if trust == OWN_KEYS else None)
    assert old != new
    loader.check(in_capitals(new), in_capitals(old), {}, trust)
    (tmp_path / "dev").mkdir()
    esp, copy = tmp_path / "dev/esp", tmp_path / "esp"
    for path in (esp, copy):
        write_raw(system_partition(old, SIZE), path)
    recorder = Recorder(tmp_path)
    with pytest.MonkeyPatch.context() as patch, Partition(str(esp)) as partition:
        volume = Volume(partition)
        recorder.install(patch)
        volume.replace("EFI", "EFI.OLD", in_capitals(new))
    writes = [number for number, each in enumerate(recorder.events) if each.kind == "write"]
    machine.put_partition("esp", esp)
    machine.start()
    machine.expect(NEW)
    esp.write_bytes(copy.read_bytes())
    replay(recorder.events, Cut(writes[-1]), tmp_path, tmp_path)
    machine.put_partition("esp", esp)
    machine.start()
    machine.expect(OLD)
