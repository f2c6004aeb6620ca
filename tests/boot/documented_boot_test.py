"""Runs the command of the GuestOS's page that boots its disk image, as it is written there, and logs in.

Then one byte of a file in the root partition is changed: the running system must not get to see it, and must not hang.
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
from tools.testing.oracles import oracle, unavailable
from tools.tree.node import File
from tools.tree.paths import lookup
from tools.vm.console import Console

PAGE = Path("ic-os/guestos/README.adoc")
DISK = "ic-os/guestos/dev/disk-img.tar"
PARTITION = "A_root"
DAMAGED = b"usr/bin/gdb"  # a file that the boot doesn't need
BOOT_SECONDS = 600
LOGIN_SECONDS = 120
RESET_SECONDS = 120
END_SECONDS = 60
QUIT = "\x01x"  # the page: Ctrl-A X ends QEMU

QUERY = b"\x1b[6n"
REPLY = "\x1b[24;80R"
"""A program asks a terminal for the position of its cursor, and what the terminal sends: ECMA-48, DSR and CPR."""


def documented_command() -> list[str]:
    """Returns the words of the page's one command that starts QEMU."""
    found = re.findall(r"^ +(qemu-system-x86_64 (?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1, found
    return shlex.split(found[0].replace("\\\n", " "))


def log_in_on_a_slow_terminal(console: Console, log: Path) -> None:
    """Logs in at the first prompt, on a terminal whose replies to the system's queries arrive after the prompt."""
    console.expect(r"login: ?$", BOOT_SECONDS, "the login prompt")
    # Replies to the firmware's queries arrive before the kernel takes over the port.
    _, kernel, shown_by_system = log.read_bytes().partition(b"Linux version ")
    assert kernel
    queries = shown_by_system.count(QUERY)
    console.write(REPLY * queries)
    console.write("root\n")
    console.expect(r"Password: ?$", LOGIN_SECONDS, "the question for the password")
    console.write("root\n")
    shown = console.expect(r"^(?:\S+@\S+:\S+)?# |Login incorrect|login: ?$", LOGIN_SECONDS, "a shell")
    assert shown[0].endswith("# "), f"the first login fails on a slow terminal, after {queries} queries"


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


def expect_reset_at_a_wrong_byte(console: Console, disk: Path) -> None:
    """Changes a byte of a file, has it read, and waits for the kernel's panic and the boot loader's next turn."""
    # Nothing has read this block yet, so no cache of the machine has it.
    damage(disk)
    console.write("head --bytes=1 /usr/bin/python3 >/dev/null && echo read-$((6 * 7))\n")
    console.expect("^read-42$", LOGIN_SECONDS, "the end of reading another file")
    console.write(f"sha256sum /{DAMAGED.decode()}\n")
    console.expect(r"panic.*dm-verity", RESET_SECONDS, "the kernel's panic")
    console.expect(r"Starting slot A", RESET_SECONDS, "the boot loader's next turn")


def test_logs_in_and_never_reads_a_wrong_byte(tmp_path):
    command = documented_command()
    assert command[-2:] == ["-drive", "file=disk.img,format=raw,if=virtio"]
    firmware = command[command.index("-bios") + 1]
    if not os.path.exists(firmware):
        unavailable(f"{firmware}, which the page names, is missing here: install ovmf, and link it there")
    oracle(command[0])
    disk = tmp_path / "disk.img"
    write_raw(open_image(DISK), disk)
    ours, theirs = socket.socketpair()
    log = Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", tmp_path), "console.log")
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT)
        theirs.close()
        console = Console(ours, output)
        try:
            log_in_on_a_slow_terminal(console, log)
            expect_reset_at_a_wrong_byte(console, disk)
            console.write(QUIT)
            assert process.wait(END_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
            console.close()
