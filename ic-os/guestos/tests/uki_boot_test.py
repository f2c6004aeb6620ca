"""Boots unified kernel images under Secure Boot, with firmware that trusts the certificate of this test alone.

The firmware starts EFI/BOOT/BOOTX64.EFI of the first disk whose signature it accepts. The kernel then starts the
initramfs of the GuestOS, which shows a message about its command line, and resets the machine.
"""

from pathlib import Path

import pefile
import pytest
from own_keys import own_firmware, signed_program

from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.testing.machines import emulator
from tools.testing.uefi_files import make_certificate
from tools.tree.node import Directory, File
from tools.vm.machine import Drive, Machine, Settings

UNSIGNED = Path("ic-os/guestos/tests/uki.efi")
MIB = 1 << 20
BOOT_SECONDS = 600
STARTED = r"initramfs: dfinity\.system=none on the kernel command line is neither A nor B"
REFUSED = "Access Denied"
SECTIONS = {".text", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"}
ARGUMENT, ATTACK = b"dfinity.system=none", b"rdinit=/usr/bin/sh "


@pytest.fixture(scope="module")
def firmware(tmp_path_factory):
    """Firmware for Secure Boot with keys of this test, and the key and certificate whose signatures it accepts."""
    folder = tmp_path_factory.mktemp("keys")
    product = make_certificate(folder, "product")
    return own_firmware(folder, product[1]), product


def disk(path, program):
    """Writes a disk whose boot program for removable media is a given one."""
    boot = Directory(entries={b"BOOTX64.EFI": File(content=Image.from_bytes(program))})
    root = Directory(entries={b"EFI": Directory(entries={b"BOOT": boot})})
    size = (len(program) // MIB + 8) * MIB
    write_raw(fat_image(root, Options(size=size, volume_id=1, label="BOOT")), path)
    return Drive(path=str(path), read_only=True)


def boot(folder, artifacts, firmware, programs):
    """Boots a machine with a disk for each program; returns what the console shows until the initramfs starts."""
    drives = [disk(folder / f"{number}.img", program) for number, program in enumerate(programs)]
    settings = Settings(
        **emulator() | {"firmware": firmware}, drives=drives, network=False, memory_mib=1024, arguments=["-no-reboot"]
    )
    with Machine(settings, folder, artifacts / "console.log") as machine:
        machine.console.expect(STARTED, BOOT_SECONDS, "the message of the initramfs")
        return machine.console.text


def changes(program):
    """Returns the image with one bit changed in each part, and with another command line."""
    file = pefile.PE(data=program, fast_load=True)
    places = {each.Name.rstrip(b"\0").decode(): each.PointerToRawData for each in file.sections}
    places = {name: place for name, place in places.items() if name in SECTIONS}
    assert set(places) == SECTIONS
    places["the headers"] = file.FILE_HEADER.get_file_offset() + 4
    places["the signature"] = len(program) - 64
    result = {}
    for name, place in places.items():
        changed = bytearray(program)
        changed[place] ^= 1
        result[name] = bytes(changed)
    assert program.count(ARGUMENT) == 1
    result["the command line"] = program.replace(ARGUMENT, ATTACK)
    return result


def test_firmware_starts_a_signed_image_and_no_changed_one(tmp_path, artifacts, firmware):
    """All disks but the last one are refused, so that the machine gets to it."""
    settings, (key, certificate) = firmware
    good = signed_program(UNSIGNED, key, certificate)
    bad = changes(good)
    bad["no signature"] = UNSIGNED.read_bytes()
    bad["another key"] = signed_program(UNSIGNED, *make_certificate(tmp_path, "other"))
    text = boot(tmp_path, artifacts, settings, [*bad.values(), good])
    assert text.count(REFUSED) == len(bad)
    assert ATTACK.decode() not in text


def test_the_command_line_is_that_of_the_image(tmp_path, artifacts, firmware):
    settings, keys = firmware
    text = boot(tmp_path, artifacts, settings, [signed_program(UNSIGNED, *keys)])
    assert REFUSED not in text
    assert "Secure boot enabled" in text
    assert f"Kernel command line: console=ttyS0,115200n8 panic=-1 {ARGUMENT.decode()}" in text
