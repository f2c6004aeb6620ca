"""Runs the command of the GuestOS's page that boots its disk image, as it is written there.

In the machine that it starts, one byte of a file in the root partition is changed: the running system must not get to
see it, and must not hang.
"""

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

from tools.image.extents import FileRange
from tools.image.rawfile import write_raw
from tools.inspect.volumes import open_partition, read_tree
from tools.tar.image_file import open_image
from tools.testing.judges import judge, unavailable
from tools.tree.node import File
from tools.tree.paths import lookup
from tools.vm.console import Console
from tools.vm.shell import Shell

PAGE = Path("ic-os/guestos/README.adoc")
DISK = "ic-os/guestos/dev/disk-img.tar"
PARTITION = "A_root"
DAMAGED = b"usr/bin/gdb"  # a file that the boot doesn't need
BOOT_SECONDS = 600
RESET_SECONDS = 120
END_SECONDS = 60
QUIT = "\x01x"  # what the page says ends QEMU: Ctrl-A X


def documented_command() -> list[str]:
    """Returns the words of the page's one command that starts QEMU."""
    found = re.findall(r"^ +(qemu-system-x86_64 (?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1, found
    return shlex.split(found[0].replace("\\\n", " "))


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


def expect_reset(console: Console) -> None:
    """Waits until the kernel says what is wrong, and the machine starts over with the next boot."""
    console.expect(r"panic.*dm-verity", RESET_SECONDS, "the kernel's panic")
    console.expect(r"Starting slot A", RESET_SECONDS, "the boot loader's next turn")


def test_boots_to_a_login_prompt_and_resets_at_a_wrong_byte(tmp_path, artifacts):
    command = documented_command()
    assert command[-2:] == ["-drive", "file=disk.img,format=raw,if=virtio"]
    firmware = command[command.index("-bios") + 1]
    if not os.path.exists(firmware):
        unavailable(f"{firmware}, which the page names, is missing here: install ovmf, and link it there")
    judge(command[0])
    disk = tmp_path / "disk.img"
    write_raw(open_image(DISK), disk)
    ours, theirs = socket.socketpair()
    with theirs, (artifacts / "console.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT)
        theirs.close()
        console = Console(ours, log)
        try:
            shell = Shell(console)
            shell.login("root", "root", BOOT_SECONDS)
            # Nothing has read this block, so no cache of the machine has it.
            damage(disk)
            assert shell.run("head --bytes=1 /usr/bin/python3 >/dev/null").status == 0
            shell.start(f"sha256sum /{DAMAGED.decode()}")
            expect_reset(console)
            console.write(QUIT)
            assert process.wait(END_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
            console.close()
