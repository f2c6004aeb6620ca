"""Starts one ISO image in QEMU as a CD-ROM and as a USB stick, by the same firmware."""

import struct
from uuid import UUID

import pytest

from tools.fat.writer import Options, fat_image
from tools.gpt.table import Entry, Table, encode
from tools.gpt.types import EFI_SYSTEM
from tools.image.extents import Image
from tools.iso.hybrid import Part, hybrid_image
from tools.pe.writer import CODE, PAGE, NewSection, efi_application
from tools.testing.machines import emulator
from tools.testing.raw import write_raw
from tools.tree.node import Directory, File
from tools.vm.machine import Drive, Machine, Settings

MIB = 1 << 20
SECONDS = 120
TEXT = "started from this medium"
CODE_BYTES = bytes.fromhex(
    "4883ec28"  # sub rsp, 40: room for arguments, and aligns the stack
    "4889d3"  # mov rbx, rdx: the system table
    "488b4a40"  # mov rcx, [rdx+64]: its ConOut
    "488d1517000000"  # lea rdx, [rip+23]: the text
    "ff5108"  # call [rcx+8]: OutputString
    "488b4358"  # mov rax, [rbx+88]: its RuntimeServices
    "b902000000"  # mov ecx, 2: EfiResetShutdown
    "31d2"  # xor edx, edx: the status EFI_SUCCESS
    "4531c0"  # xor r8d, r8d: no data
    "4531c9"  # xor r9d, r9d
    "ff5068"  # call [rax+104]: ResetSystem
)
"""Writes the text behind it to the console, and turns the machine off (UEFI 2.10, sections 4.3, 12.4.3 and 8.5.1)."""


def program():
    """Returns an EFI application that writes TEXT to the console and turns the machine off."""
    text = f"{TEXT}\r\n\0".encode("utf-16-le")
    return efi_application([NewSection(".text", Image.from_bytes(CODE_BYTES + text), CODE)], PAGE, [])


def test_the_text_is_where_the_code_has_it():
    at = CODE_BYTES.index(b"\x48\x8d\x15")
    assert at + 7 + struct.unpack_from("<I", CODE_BYTES, at + 3)[0] == len(CODE_BYTES)


@pytest.fixture
def medium(tmp_path):
    """An ISO image whose EFI system partition, behind another one, has the program."""
    entries = {b"BOOTX64.EFI": File(content=program())}
    tree = Directory(entries={b"EFI": Directory(entries={b"BOOT": Directory(entries=entries)})})
    esp = fat_image(tree, Options(size=4 * MIB, volume_id=1))
    parts = [Part("data", MIB, MIB), Part("esp", 2 * MIB, esp.size)]
    rows = [
        Entry(number=number, name=part.name, offset=part.offset, size=part.size, type=EFI_SYSTEM, uuid=UUID(int=number))
        for number, part in enumerate(parts, 1)
    ]
    table = Table(disk_guid=UUID(int=99), disk_size=8 * MIB, entries=tuple(rows))
    disk = Image.compose(table.disk_size, [(0, encode(table)), (parts[1].offset, esp)])
    return write_raw(hybrid_image(disk, parts, parts[1], "MEDIUM"), tmp_path / "medium.iso")


def start(medium, tmp_path, **settings):
    folder = tmp_path / "machine"
    folder.mkdir()
    common = {"memory_mib": 256, "network": False}
    with Machine(Settings(**emulator(), **common, **settings), folder, tmp_path / "console.log") as machine:
        machine.console.expect(TEXT, SECONDS)
        machine.wait_end(SECONDS)


@pytest.mark.parametrize("devices", [["ide-cd"], ["virtio-scsi-pci", "scsi-cd"]])
def test_cd_rom(medium, tmp_path, devices):
    arguments = ["-drive", f"if=none,id=cd,media=cdrom,readonly=on,format=raw,file={medium}"]
    for device in [*devices[:-1], f"{devices[-1]},drive=cd,bootindex=0"]:
        arguments += ["-device", device]
    start(medium, tmp_path, drives=[], arguments=arguments)


def test_usb_stick(medium, tmp_path):
    start(medium, tmp_path, drives=[Drive(path=str(medium), read_only=True, usb=True)])
