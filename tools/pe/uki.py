"""Unified kernel images: kernel, initramfs, command line and more in one PE file, which firmware starts.

See the UAPI Group's Unified Kernel Image specification. The program in the file is systemd's stub, which finds the
others in these sections: `.osrel` (os-release), `.cmdline`, `.uname` (the version of the kernel), `.sbat` (generations
for revocation, shim's SBAT.md), `.initrd` and `.linux`. A signature of the file covers all of them. `.pcrpkey` is the
public key of `pcr_policy`, which adds the last section, `.pcrsig`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import rsa

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.image.stream import buffers
from tools.pe.headers import PeFile, add_sections, read_pe
from tools.pe.pcr_policy import PUBLIC_KEY, public_key_section

_MOST_TEXT = 1 << 16
_SETUP_MAGIC, _SETUP_MAGIC_OFFSET = b"HdrS", 0x202
_VERSION_POINTER, _VERSION_BASE = 0x20E, 0x200
_ARM_MAGIC, _ARM_MAGIC_OFFSET = b"ARM\x64", 0x38
_COMPRESSED = re.compile(rb"\x1f\x8b|MZ..zimg", re.DOTALL)
_BANNER = re.compile(rb"Linux version ([!-~]{1,64}) ")
_BANNER_SIZE = 128
_X86_64, _ARM64 = 0x8664, 0xAA64
_STUBS = {_X86_64: "linuxx64.efi.stub", _ARM64: "linuxaa64.efi.stub"}
"""Stubs of systemd by their processors, as the PE header has them."""
_SBAT_LINE = re.compile(rb"[!-+\--~]+,[1-9][0-9]*(,[^,\n]*)*")
_SBAT_HEADER = b"sbat,"
_STUB_SECTION, _STUB_VERSION = ".sdmagic", re.compile(rb"#### LoaderInfo: systemd-stub ([1-9][0-9]{0,4})\b")
_END = "--"
"""The last word of the command line. The kernel reads no argument behind it (kernel/params.c, parse_args), so none of
what systemd's stub appends from the machine's SMBIOS tables, such as `rdinit=`. Programs of the initramfs must refuse
it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a unified kernel image is made of.

    Attributes:
        stub: systemd's stub, `linuxx64.efi.stub` or `linuxaa64.efi.stub`.
        kernel: the kernel, as Debian has it: a bzImage for x86, an uncompressed Image for 64-bit Arm.
        initrd: the initramfs.
        os_release: an os-release file; it names the system for boot menus.
        words: arguments of the kernel command line.
        sbat: further lines of SBAT, besides those of the stub.
        min_stub_version: the lowest major version of systemd that the stub may be of, such as 257; 0 takes any stub.
            The initramfs may rely on variables that older stubs don't write (systemd-stub(7), "EFI Variables").
        pcr_public_key: key whose signatures of register 11 the image will have; None: it has none.
    """

    stub: Image
    kernel: Image
    initrd: Image
    os_release: Image
    words: Sequence[str]
    sbat: bytes = b""
    min_stub_version: int = 0
    pcr_public_key: rsa.RSAPublicKey | None = None


def unified_kernel_image(parts: Parts) -> Image:
    """Returns the unified kernel image, without a signature.

    Raises:
        UserError: a part is not what it must be, or the stub has no room for it.
    """
    stub = read_pe(parts.stub, "stub")
    _check_processor(stub, parts.kernel)
    if parts.min_stub_version:
        _check_stub_version(stub, parts.min_stub_version)
    contents = [(".osrel", parts.os_release), (".cmdline", Image.from_bytes(_command_line(parts.words)))]
    contents.append((".uname", Image.from_bytes(kernel_version(parts.kernel))))
    if parts.sbat:
        present = stub.find(".sbat")
        before = b"" if present is None else parts.stub.read(present.offset, present.virtual_size)
        contents.append((".sbat", Image.from_bytes(merged_sbat(before, parts.sbat))))
    if parts.pcr_public_key:
        contents.append((PUBLIC_KEY, Image.from_bytes(public_key_section(parts.pcr_public_key))))
    contents += [(".initrd", parts.initrd), (".linux", parts.kernel)]
    for name, content in contents:
        if not content.size:
            raise UserError(f"{name}: is empty; a unified kernel image needs it")
        if name != ".sbat" and stub.find(name) is not None:
            raise UserError(f"stub: has a section {name} already: it is a unified kernel image, or another program")
    return add_sections(stub, contents)


def stub_version(stub: PeFile) -> int:
    """Returns the major version of systemd that a stub is of.

    The stub has it in the section `.sdmagic`, as `#### LoaderInfo: systemd-stub 257.9-1 ####` (systemd,
    src/boot/stub.c).

    Raises:
        UserError: it is not systemd's stub.
    """
    section = stub.find(_STUB_SECTION)
    size = 0 if section is None else min(section.size, section.virtual_size, _MOST_TEXT)
    match = None if section is None else _STUB_VERSION.match(stub.image.read(section.offset, size))
    if match is None:
        raise UserError(
            f"{stub.name}: is not systemd's stub: its section {_STUB_SECTION} does not say the version; give "
            f"{_STUBS.get(stub.machine, _STUBS[_X86_64])} of Debian's package systemd-boot-efi"
        )
    return int(match[1])


def _check_stub_version(stub: PeFile, least: int) -> None:
    version = stub_version(stub)
    if version < least:
        raise UserError(
            f"{stub.name}: is of systemd {version}, and must be of {least} or later, since an older one does not tell "
            "the initramfs which partition the image is on; take a newer package systemd-boot-efi, such as Debian 13's"
        )


def _check_processor(stub: PeFile, kernel: Image) -> None:
    """Checks that the stub is for the processor that the kernel is for."""
    machine = _ARM64 if _is_arm_kernel(kernel) else _X86_64
    if stub.machine != machine:
        name = {_X86_64: "x86-64", _ARM64: "64-bit Arm"}
        raise UserError(
            f"{stub.name}: is for {name.get(stub.machine, f'processor {stub.machine:#x}')}, and the kernel for "
            f"{name[machine]}; give {_STUBS[machine]}"
        )


def _is_arm_kernel(kernel: Image) -> bool:
    head = kernel.read(0, min(kernel.size, _MOST_TEXT))
    return head[_ARM_MAGIC_OFFSET : _ARM_MAGIC_OFFSET + len(_ARM_MAGIC)] == _ARM_MAGIC


def kernel_version(kernel: Image) -> bytes:
    """Returns the version of a kernel, as uname(1) prints it.

    A kernel for x86 has it in its header (the kernel's Documentation/arch/x86/boot.rst, `kernel_version`). One for
    64-bit Arm (Documentation/arch/arm64/booting.rst) has it in the banner that it prints.

    Raises:
        UserError: it is not a Linux kernel of either form, or is compressed.
    """
    if _is_arm_kernel(kernel):
        return _banner_version(kernel)
    head = kernel.read(0, min(kernel.size, _MOST_TEXT))
    if _COMPRESSED.match(head):
        raise UserError("kernel: is compressed; give the uncompressed Image, such as Debian's /boot/vmlinuz for arm64")
    if head[_SETUP_MAGIC_OFFSET : _SETUP_MAGIC_OFFSET + 4] != _SETUP_MAGIC:
        raise UserError(
            "kernel: is not a Linux kernel for x86 (bzImage) or 64-bit Arm (Image), such as Debian's /boot/vmlinuz"
        )
    (pointer,) = struct.unpack_from("<H", head, _VERSION_POINTER)
    text = head[_VERSION_BASE + pointer :].partition(b"\0")[0].split(b" ")[0]
    if not pointer or not re.fullmatch(rb"[!-~]{1,64}", text):
        raise UserError("kernel: its header has no version")
    return text


def _banner_version(kernel: Image) -> bytes:
    """Returns the version in the first banner of a kernel."""
    end = b""
    for data in buffers(kernel):
        text = end + bytes(data)
        if match := _BANNER.search(text):
            return match[1]
        end = text[-_BANNER_SIZE:]
    raise UserError("kernel: does not contain its version, in a text that begins with `Linux version`")


def merged_sbat(before: bytes, more: bytes) -> bytes:
    """Returns the lines of two SBAT texts; the first line of the format, `sbat`, comes once.

    Raises:
        UserError: a line is not a component, its generation, and further fields.
    """
    lines: list[bytes] = []
    for text in (before, more):
        for line in filter(None, text.rstrip(b"\0").split(b"\n")):
            if not _SBAT_LINE.fullmatch(line):
                raise UserError(f"sbat: {line!r} is not a line COMPONENT,GENERATION,VENDOR,PACKAGE,VERSION,URL")
            if line.startswith(_SBAT_HEADER) and any(known.startswith(_SBAT_HEADER) for known in lines):
                continue
            lines.append(line)
    if not lines[0].startswith(_SBAT_HEADER):
        raise UserError(f"sbat: the first line is {lines[0]!r}, but must be that of the format: sbat,1,…")
    return b"\n".join(lines) + b"\n"


def _command_line(words: Sequence[str]) -> bytes:
    for word in words:
        if not re.fullmatch("[!-~]+", word):
            raise UserError(f"{word!r}: must be printable ASCII to be an argument of the kernel command line")
        if word == _END:
            raise UserError(f"{_END}: ends the arguments of the kernel, and is added behind them; leave it out")
    return " ".join([*words, _END]).encode() if words else b""
