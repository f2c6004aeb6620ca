"""Installation on block devices of the kernel, mounted and not; needs the right to set up loop devices."""

import os
import subprocess
from pathlib import Path

import pytest
from file_machine import SIZES
from guestos import partition, slots
from update_images import MIB

from tools.testing.mounts import leave_shared_mounts
from tools.testing.oracles import ask, oracle

BUSY = 5


@pytest.fixture(autouse=True)
def own_mounts():
    """Leaves shared mount propagation, so that no sandbox copies the mounts of this test and keeps them busy."""
    leave_shared_mounts()


@pytest.fixture
def devices(machine):
    """Replaces the partitions of slot B by loop devices; returns these by name."""
    losetup = oracle("losetup")
    found = {}
    try:
        for name in SIZES:
            file = machine.partition("B", name)
            moved = file.rename(machine.folder / f"B_{name}.img")
            done = subprocess.run([losetup, "--find", "--show", moved], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                reason = f"loop devices are not permitted here: {done.stderr.strip()}"
                pytest.fail(reason) if os.environ.get("ICOS_REQUIRE_MOUNTS") == "1" else pytest.skip(reason)
            found[name] = done.stdout.strip()
            file.symlink_to(found[name])
        yield found
    finally:
        for device in found.values():
            ask("losetup", "--detach", device)


def content(machine, name):
    return (machine.folder / f"B_{name}.img").read_bytes()


def test_installs_on_block_devices(machine, devices, update, update_tar):
    assert machine("upgrade-install", update_tar) == 0
    assert machine.slot("B").state == slots.READY
    for image, name in zip(update.images, ("boot", "root"), strict=True):
        assert content(machine, name)[: image.size] == image.read(0, image.size)
    assert content(machine, "var")[: 16 * MIB] == bytes(16 * MIB)
    assert machine("upgrade-commit") == 0
    ask("e2fsck", "-fn", devices["boot"])


def test_holes_are_zeroed_on_a_disk_without_discard(machine, devices, update, update_tar, monkeypatch):
    def unsupported(*_arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(partition, "punch_hole", unsupported)
    assert machine("upgrade-install", update_tar) == 0
    root = update.images[1]
    assert content(machine, "root")[: root.size] == root.read(0, root.size)


@pytest.mark.parametrize("name", ["boot", "root", "var"])
def test_24_target_mounted(machine, devices, update_tar, tmp_path, name, capsys):
    assert machine("upgrade-install", update_tar) == 0
    before = machine.slot("B")
    if name != "boot":
        ask("mke2fs", "-q", devices[name])
    held = {part: content(machine, part) for part in SIZES}
    folder = tmp_path / "mounted"
    folder.mkdir()
    ask("mount", "-o", "ro", devices[name], folder)
    try:
        assert machine("upgrade-install", update_tar) == BUSY
        assert f"B_{name}: is mounted or in use" in capsys.readouterr().err
        assert machine.slot("B") == before
        assert {part: content(machine, part) for part in SIZES} == held
    finally:
        ask("umount", folder)


def test_44_the_grub_partition_is_mounted_read_only(machine, update_tar, tmp_path, capsys):
    """The grub partition is remounted read-write for the write only. The test uses ext2 in place of FAT."""
    image = tmp_path / "grub.img"
    with open(image, "wb") as file:
        file.truncate(4 * MIB)
    ask("mke2fs", "-q", image)
    grub = Path(machine.environment.grubenv).parent
    kept = {path.name: path.read_bytes() for path in grub.iterdir()}
    ask("mount", "-o", "loop", image, grub)
    try:
        for name, data in kept.items():
            (grub / name).write_bytes(data)
        ask("mount", "-o", "remount,ro", grub)
        assert machine("upgrade-install", update_tar) == 0
        assert machine("upgrade-commit") == 0, capsys.readouterr().err
        assert machine.read_state().alternative == "B"
        assert os.statvfs(grub).f_flag & os.ST_RDONLY
    finally:
        ask("umount", grub)
