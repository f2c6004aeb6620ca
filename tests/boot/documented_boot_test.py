"""Runs the documented command that boots the GuestOS's disk image."""

import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.oracles import oracle, unavailable
from tools.vm.console import Console

PAGE = Path("ic-os/guestos/README.adoc")
DISK = "ic-os/guestos/dev/disk-img.tar"
BOOT_SECONDS = 600
END_SECONDS = 60
QUIT = "\x01x"  # Ctrl-A X, the documented key sequence to quit QEMU


def documented_command() -> list[str]:
    """Returns the words of the documented command that starts QEMU."""
    found = re.findall(r"^ +(qemu-system-x86_64 (?:.*\\\n)*.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(found) == 1, found
    return shlex.split(found[0].replace("\\\n", " "))


def test_boots_to_a_login_prompt(tmp_path):
    command = documented_command()
    assert command[-2:] == ["-drive", "file=disk.img,format=raw,if=virtio"]
    firmware = command[command.index("-bios") + 1]
    if not os.path.exists(firmware):
        unavailable(f"{firmware}, which the page names, is missing here: install ovmf, and link it there")
    oracle(command[0])
    write_raw(open_image(DISK), tmp_path / "disk.img")
    ours, theirs = socket.socketpair()
    with theirs, Path(os.environ.get("TEST_UNDECLARED_OUTPUTS_DIR", tmp_path), "console.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=subprocess.STDOUT)
        theirs.close()
        console = Console(ours, log)
        try:
            console.expect(r"login: ?$", BOOT_SECONDS, "the login prompt")
            console.write(QUIT)
            assert process.wait(END_SECONDS) == 0
        finally:
            process.kill()
            process.wait()
            console.close()
