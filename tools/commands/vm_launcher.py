"""Boots a disk image in QEMU, with the machine's console on the terminal; Ctrl-A X ends it.

The image stays as it is: what the machine writes is forgotten at its end, or kept in the file of --keep.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.vm.architecture import ARCHITECTURE_HELP, X86_64, find_architecture
from tools.vm.disk import forgetful_drive
from tools.vm.firmware import firmware_with
from tools.vm.machine import Drive, Settings, command_line, copy_variables, create_overlay
from tools.vm.qemu import accelerator, find_qemu
from tools.vm.toolchain import HELP, checked_files

_SSH_PORT = 22


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    disk: FileName = argument("the disk image, raw or as the one member of a tar", positional=True)
    architecture: str = argument(ARCHITECTURE_HELP, default=X86_64.name)
    keep: OutputName | None = argument(
        "folder for the image and what the machine writes to it; another start with the same folder goes on from there",
        default=None,
    )
    medium: FileName | None = argument("raw image to attach as a removable disk, read-only", default=None)
    memory_mib: int = argument("memory of the machine, in MiB", default=4096)
    cpus: int = argument("number of processors", default=2)
    ssh_port: int = argument("port of 127.0.0.1 that leads to SSH in the machine; 0 for none", default=2222)
    http_port: int = argument("port of 127.0.0.1 that leads to HTTP in the machine; 0 for none", default=8080)
    http_target: int = argument("port of the machine that this is", default=8080)
    secure_boot: bool = argument("boot with UEFI Secure Boot, with enrolled keys", default=False)
    firmware_variables: FileName | None = argument(
        "variable store with the keys of a product: boot with UEFI Secure Boot and these keys alone", default=None
    )
    qemu: str | None = argument("QEMU; by default qemu-system-ARCHITECTURE on PATH", default=None)
    toolchain: dict[str, FileName] | None = argument(HELP, default=None)
    accel: str | None = argument("accelerator; by default KVM where it works, else emulation", default=None)
    more: tuple[str, ...] = argument("another argument to QEMU", default=())


def main(arguments: Arguments) -> None:
    """Runs the machine until it ends."""
    files = checked_files(arguments.toolchain)
    qemu = find_qemu(arguments.qemu or files.get("qemu"), find_architecture(arguments.architecture))
    firmware = firmware_with(arguments.secure_boot, arguments.firmware_variables, files, qemu.architecture)
    accel = arguments.accel or accelerator(qemu, firmware)
    forwards = [(arguments.ssh_port, _SSH_PORT), (arguments.http_port, arguments.http_target)]
    with tempfile.TemporaryDirectory(prefix="launch-local-vm-", dir=_large_folder()) as temporary:
        folder = Path(arguments.keep or temporary)
        settings = Settings(
            qemu=qemu,
            firmware=firmware,
            accel=accel,
            drives=prepare_drives(arguments, folder, files.get("qemu_img", "qemu-img")),
            memory_mib=arguments.memory_mib,
            cpus=arguments.cpus,
            forwards=[(host, machine) for host, machine in forwards if host],
            arguments=arguments.more,
        )
        command = command_line(settings, copy_variables(firmware, folder, qemu.architecture))
        command += ["-display", "none", "-serial", "mon:stdio"]
        print(introduction(arguments, accel), flush=True)
        status = subprocess.run(command, env={**os.environ, "TMPDIR": temporary}, check=False).returncode
    if status != 0:
        raise UserError(f"{qemu.program}: ended with status {status}")


def prepare_drives(arguments: Arguments, folder: Path, qemu_img: str = "qemu-img") -> list[Drive]:
    """Returns the drives of a machine: its disk, and the medium if there is one.

    Args:
        arguments: the command line.
        folder: directory for files of the disk, and for what the machine writes if that is kept.
        qemu_img: QEMU's program for disk images, by path or name.

    Raises:
        UserError: the disk image or the medium cannot be read, or the directory cannot be written.
    """
    drives = [_prepare_disk(arguments.disk, folder, None if arguments.keep is None else qemu_img)]
    if arguments.medium is not None:
        if not Path(arguments.medium).is_file():
            raise UserError(f"--medium: {arguments.medium}: is not a file; give a raw image of a disk")
        drives.append(Drive(path=arguments.medium, read_only=True, removable=True))
    return drives


def _prepare_disk(disk: str, folder: Path, qemu_img: str | None) -> Drive:
    """Returns the disk; with `qemu_img`, what the machine writes to it is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    if qemu_img is None:
        return forgetful_drive(disk, folder)
    overlay = folder / "written.qcow2"
    if not overlay.exists():
        image = folder / "disk.img"
        write_raw(open_image(disk), image)
        create_overlay(qemu_img, str(overlay), str(image))
    return Drive(path=str(overlay), format="qcow2", keep=True)


def _large_folder() -> str | None:
    """Returns where to put temporary images: /tmp is memory on many machines."""
    return os.environ.get("TMPDIR") or ("/var/tmp" if os.access("/var/tmp", os.W_OK) else None)


def introduction(arguments: Arguments, accel: str) -> str:
    """Returns what is printed before the machine's own output."""
    lines = [f"Starting the machine ({accel}). Ctrl-A X ends it."]
    if arguments.ssh_port:
        lines.append(f"127.0.0.1:{arguments.ssh_port} leads to port {_SSH_PORT} of the machine: SSH, if it has that.")
    if arguments.http_port:
        lines.append(f"127.0.0.1:{arguments.http_port} leads to port {arguments.http_target} of the machine.")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
