"""Computes PCR 11, the register of a TPM into which a unified kernel image is measured at the boot.

systemd's stub extends it by the name and the content of each section, in the order of the UAPI Group's Unified Kernel
Image specification, not in that of the file (systemd, src/fundamental/uki.c; src/boot/stub.c, `measure_sections`). Then
the system extends it by a word at each phase of the boot (systemd-pcrphase.service(8)). To extend a register means to
replace its value by the hash of the value, and the hash of what is measured (TPM 2.0 Library, part 1, section 11.4.5).
All values are those of the bank of SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from tools.core.errors import UserError
from tools.image.digest import sha256
from tools.image.extents import Image
from tools.pe.headers import PeFile, Section

REGISTER = 11
"""Number of the register, a PCR."""

DEFAULT_PHASES = (
    "enter-initrd",
    "enter-initrd:leave-initrd",
    "enter-initrd:leave-initrd:sysinit",
    "enter-initrd:leave-initrd:sysinit:ready",
)
"""The phases of a system with systemd in its initramfs until its shutdown, which are those of systemd-measure."""

_SECTIONS = [
    *(".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".uname", ".sbat"),
    ".pcrpkey",
]
"""Sections that are measured, in this order."""

_OTHER_SECTIONS = {".profile", ".dtbauto", ".hwids", ".efifw"}
"""Sections by which the stub chooses, on each machine, which others it takes."""

_WORD = re.compile("[!-9;-~]+")


def kernel_image_value(file: PeFile) -> bytes:
    """Returns the value, of 32 bytes, when systemd's stub starts the kernel, before any phase.

    Raises:
        UserError: what is measured depends on the machine, or nothing is.
    """
    value = bytes(hashlib.sha256().digest_size)
    for each in file.sections:
        if each.name in _OTHER_SECTIONS:
            raise UserError(f"{file.name}: has a section {each.name}: what is measured depends on the machine")
    if file.find(".linux") is None:
        raise UserError(f"{file.name}: has no section .linux: it is not a unified kernel image")
    for name in _SECTIONS:
        section = file.find(name)
        if section is None or not section.virtual_size:
            continue
        value = _extended(value, hashlib.sha256(name.encode() + b"\0").digest())
        value = _extended(value, sha256(_loaded(file, section)))
    return value


def phase_value(value: bytes, phase: str) -> bytes:
    """Returns the value in a phase.

    Args:
        value: when the stub starts the kernel.
        phase: words of phases, from `normal_phases`.
    """
    for word in filter(None, phase.split(":")):
        value = _extended(value, hashlib.sha256(word.encode()).digest())
    return value


def normal_phases(phases: Sequence[str]) -> list[str]:
    """Returns phases in the given order, without empty words.

    Args:
        phases: each is the words up to that phase with colons between them, such as `enter-initrd:leave-initrd`; `:` is
            that before any phase.

    Raises:
        UserError: there is none, one is not such words, or comes twice.
    """
    normal: list[str] = []
    for phase in phases:
        words = list(filter(None, phase.split(":")))
        if not phase or not all(_WORD.fullmatch(word) for word in words):
            raise UserError(f"{phase!r}: is not a phase: words with `:` between them, such as enter-initrd, or `:`")
        if ":".join(words) in normal:
            raise UserError(f"{phase!r}: this phase is given twice")
        normal.append(":".join(words))
    if not normal:
        raise UserError("no phase is given; give at least one, such as enter-initrd")
    return normal


def _extended(value: bytes, digest: bytes) -> bytes:
    return hashlib.sha256(value + digest).digest()


def _loaded(file: PeFile, section: Section) -> Image:
    """Returns the content of a section in memory; what is not in the file is zero."""
    return file.image.slice(section.offset, min(section.size, section.virtual_size)).resized(section.virtual_size)
