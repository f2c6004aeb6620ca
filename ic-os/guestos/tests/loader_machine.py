"""A virtual machine that runs the GuestOS's boot loader, on a small disk with the partitions that it reads."""

from __future__ import annotations

import functools
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from guestos import boot_state
from guestos.boot_state import BootState
from guestos.grubenv import serialize
from update_images import Kernel, boot_image

from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import parse_layout
from tools.image.extents import Extent, FileRange, Image, InputFile
from tools.image.rawfile import open_raw, write_raw
from tools.tar.image_file import open_image
from tools.testing.disks import disk_image
from tools.testing.machines import Emulator, emulator
from tools.testing.sample_disk import ext4
from tools.tree.node import Directory, File
from tools.vm.machine import Drive, Machine, Settings

MIB = 1 << 20
_GRUB_SIZE = 4 * MIB
_BOOT_SECONDS = 300
_FIRMWARE = "BdsDxe: starting Boot"
KERNEL_STARTED = "EFI stub: Loaded initrd"
"""The first output of a kernel that was started with its initramfs."""
_CHOICE = re.compile(r"^Starting slot ([AB]) \((\w+)\)\.$", re.MULTILINE)

_PARTS = {
    "esp": "ic-os/guestos/bootloader/esp_image.img.tar",
    "kernel": "ic-os/guestos/dev/initrd.vmlinuz",
    "initramfs": "ic-os/guestos/dev/initrd.img",
}
_LAYOUT = """\
esp,,204800,U,,
grub,,8192,L,,
config,,8192,L,A5BA3816-BEAA-D74D-993E-CFA5AA6BA1F6,
A_boot,,{boot},L,DDF618FE-7244-B446-A175-3296E6B9D02E,
A_root,,2048,L,7C0A626E-E5EA-E543-B5C5-300EB8304DB7,
A_var,,2048,L,,
B_boot,,{boot},L,D5214E4F-F7B0-B945-9A9B-52B9188DF4C5,
B_root,,2048,L,A78BC3A8-376C-054A-96E7-3904B915D0C5,
"""
"""The partitions have the numbers of the GuestOS's layout, by which GRUB finds them, and its GUIDs, by which the
initramfs finds them. The roots are empty: no system starts."""


@dataclass(frozen=True, slots=True)
class Booted:
    """The slot whose kernel was started, and the boot reason."""

    slot: str
    reason: str


@dataclass(frozen=True, slots=True)
class Parts:
    """The images and files on the disk.

    Attributes:
        esp: the image of the EFI system partition.
        kernel: the kernel.
        initramfs: its initial RAM file system.
    """

    esp: Path
    kernel: Path
    initramfs: Path


def find_loader(base: Path) -> Callable[..., LoaderMachine]:
    """Returns a function that creates a LoaderMachine from a directory and further options.

    The test is skipped, or fails where oracles are required, without a QEMU that can run them.

    Args:
        base: the directory of Bazel's outputs.
    """
    parts = Parts(**{name: base / path for name, path in _PARTS.items()})
    return functools.partial(LoaderMachine, emulator(), parts)


@dataclass
class LoaderMachine:
    """A machine whose boot state the test writes between two boots; use it in a `with` statement.

    Attributes:
        emulator: the QEMU to run, with its firmware.
        parts: images and files on the disk.
        folder: directory for the machine's files.
        boot_image: the image of the boot partitions; by default one with the kernel and initramfs of `parts`.
        esp: the image of the EFI system partition; by default that of `parts`.
        started: what the console shows when a slot has been started.
        bootable: the slots that have a kernel.
        read_only: whether the disk refuses writes.
    """

    emulator: Emulator
    parts: Parts
    folder: Path
    boot_image: Image | None = None
    esp: Image | None = None
    started: str = KERNEL_STARTED
    bootable: str = "AB"
    read_only: bool = False
    _machine: Machine | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        boot = self.boot_image or self._default_boot_image()
        layout = parse_layout(_LAYOUT.format(boot=boot.size // 512), "loader_machine")
        table = place(layout, minimum_disk_size(layout), uuid.UUID(int=1))
        without = ext4(Directory())
        self._disk = self.folder / "disk.img"
        self._offsets = {entry.name: entry.offset for entry in table.entries}
        contents = [("esp", self.esp or open_image(self.parts.esp))]
        contents += [(f"{slot}_boot", boot if slot in self.bootable else without) for slot in "AB"]
        write_raw(disk_image(table, contents), self._disk)

    def _default_boot_image(self) -> Image:
        kernel = Kernel(open_raw(self.parts.kernel), open_raw(self.parts.initramfs))
        return boot_image("1.2.3", "00ff", kernel)

    def put(self, files: Mapping[str, bytes]) -> None:
        """Writes a grub partition with files. The machine must not be using it."""
        root = Directory()
        for name, data in files.items():
            root.entries[name.encode()] = File(content=Image.from_bytes(data))
        image = fat_image(root, Options(size=_GRUB_SIZE, volume_id=2, label="GRUB"))
        with open(self._disk, "r+b") as disk:
            os.pwrite(disk.fileno(), image.read(0, image.size), self._offsets["grub"])

    def put_partition(self, name: str, path: Path) -> None:
        """Writes the content of a file to a partition. The machine must not be using it."""
        with open(self._disk, "r+b") as disk, open(path, "rb") as file:
            disk.seek(self._offsets[name])
            shutil.copyfileobj(file, disk, MIB)

    def put_state(self, alternative: str | None, cycle: str, confirmed: str | None) -> None:
        """Writes a boot state; None stands for a value that is neither A nor B."""
        state = {"boot_alternative": alternative or "x", "boot_cycle": cycle}
        self.put({"grubenv": serialize(state), "confirmed": serialize({"confirmed_slot": confirmed or "x"})})

    def _stored(self, name: str) -> bytes:
        """Returns a file of the grub partition."""
        source = FileRange(InputFile(self._disk), self._offsets["grub"])
        root = read_fat(Image(_GRUB_SIZE, [Extent(0, _GRUB_SIZE, source)]), "grub").root
        node = root.entries[name.encode()]
        assert isinstance(node, File)
        return node.content.read(0, node.content.size)

    def read_state(self) -> BootState:
        """Returns the boot state on the disk, as the system reads it."""
        for name in ("grubenv", "confirmed"):
            (self.folder / name).write_bytes(self._stored(name))
        return boot_state.read(str(self.folder / "grubenv"))

    def start(self) -> None:
        """Starts the machine, or resets it if it is running."""
        if self._machine is not None:
            self._machine.qmp.execute("system_reset")
            return
        drive = Drive(path=str(self._disk), keep=not self.read_only, read_only=self.read_only)
        settings = Settings(
            **self.emulator,
            drives=[drive],
            memory_mib=1024,
            network=False,
        )
        machine = Machine(settings, self.folder, self.folder / "console.log")
        self._machine = machine.__enter__()

    def boot(self) -> Booted:
        """Starts the machine, waits for a kernel, and returns its slot and the boot reason."""
        self.start()
        return self.wait_boot()

    def wait_boot(self) -> Booted:
        """Waits until the machine has reset itself and started a kernel; returns its slot and the boot reason."""
        assert self._machine is not None
        console = self._machine.console
        begin = console.expect(_FIRMWARE, _BOOT_SECONDS).end()
        end = console.expect(self.started, _BOOT_SECONDS).start()
        *_, choice = _CHOICE.finditer(console.text, begin, end)
        return Booted(choice[1], choice[2])

    def expect(self, pattern: str) -> re.Match[str]:
        """Waits until the console shows a pattern, after the last one that was waited for; returns the match."""
        assert self._machine is not None
        return self._machine.console.expect(pattern, _BOOT_SECONDS)

    def write(self, text: str) -> None:
        """Sends text to the console."""
        assert self._machine is not None
        self._machine.console.write(text)

    @property
    def text(self) -> str:
        """All that the console has shown since the machine was first started."""
        return "" if self._machine is None else self._machine.console.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._machine is not None:
            self._machine.__exit__(None, None, None)
