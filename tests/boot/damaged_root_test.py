"""Changes a byte of a file in the root partition: the running system must not read it, and must not hang."""

import os
import tempfile
from pathlib import Path

from tools.image.extents import FileRange
from tools.image.rawfile import write_raw
from tools.inspect.volumes import open_partition, read_tree
from tools.tar.image_file import open_image
from tools.testing.oracles import oracle
from tools.tree.node import File
from tools.tree.paths import lookup
from tools.vm.console import Console
from tools.vm.firmware import find_firmware
from tools.vm.machine import Drive, Machine, Settings
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.shell import Shell

DISK = "ic-os/guestos/dev/disk-img.tar"
PARTITION = "A_root"
DAMAGED = b"usr/bin/gdb"  # a file that the boot doesn't need
BOOT_SECONDS = 600
RESET_SECONDS = 120


def damage(disk: Path) -> None:
    """Flips a bit of the file, in the middle of its first extent."""
    node = lookup(read_tree(open_partition(disk, PARTITION), os.fspath(disk)), DAMAGED.split(b"/"))
    assert isinstance(node, File)
    extent = node.content.extents[0]
    assert isinstance(extent.source, FileRange)
    place = extent.source.start + extent.length // 2
    with disk.open("r+b") as file:
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 1]))


def test_wrong_byte_is_never_read():
    oracle("qemu-system-x86_64")
    with tempfile.TemporaryDirectory() as folder:
        disk = Path(folder, "disk.img")
        write_raw(open_image(DISK), disk)
        damage(disk)
        qemu, firmware = find_qemu(), find_firmware()
        drives = [Drive(path=os.fspath(disk))]
        settings = Settings(qemu=qemu, firmware=firmware, accel=accelerator(qemu, firmware), drives=drives)
        log = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", folder), "console.log")
        with Machine(settings, folder, log) as machine:
            shell = Shell(machine.console)
            shell.login("root", "root", BOOT_SECONDS)
            assert shell.run("head --bytes=1 /usr/bin/python3 >/dev/null").status == 0
            shell.start(f"sha256sum /{DAMAGED.decode()}")
            expect_reset(machine.console)


def expect_reset(console: Console) -> None:
    """Waits for the kernel's panic, and for the reboot."""
    console.expect(r"panic.*dm-verity", RESET_SECONDS, "the kernel's panic")
    console.expect(r"Starting slot A", RESET_SECONDS, "the boot loader after the reboot")
