"""Writes GRUB as one program for UEFI: its kernel, modules, a configuration, and a key, in one PE file.

Such a program reads no module and no configuration from a disk. With a public key it opens only files that are signed
by this key, each with its signature in the file NAME.sig beside it. `load_env --skip-sig` reads variables without one.
The configuration finds the folder that the program was started from in `$loader_path`.

Under Secure Boot GRUB starts a program only if one of its verifiers accepts it: shim, which a product with keys of its
own does not use, or a key as above. The firmware then verifies the program, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.core.errors import UserError
from tools.elf.relocatable import link
from tools.grub import modules
from tools.grub.distribution import Distribution
from tools.image.extents import Image
from tools.pe.uki import merged_sbat
from tools.pe.writer import CODE, DATA, PAGE, WRITABLE_DATA, NewSection, efi_application

_PREFIX = "(memdisk)/"
_CONFIGURATION = "grub.cfg"
_FIRST = b"""\
set superusers=""
set check_signatures=no
set loader_path=$fw_path$cmdpath
unset fw_path
unset cmdpath
normal (memdisk)/grub.cfg
"""
"""Executed before any file is opened. An empty list of superusers disables menu and command line. The configuration
itself has no signature of its own, since the program's covers it. Debian's GRUB would look for one in `$fw_path` first,
which is on the disk; GRUB without Debian's changes calls this variable `$cmdpath`."""

_VERIFIES = b"set check_signatures=enforce\n"
"""Begins the configuration if there is a key."""

_ALWAYS = ("memdisk", "normal", "tar")
_FOR_KEYS = ("gcry_rsa", "gcry_sha256", "pgp")


def grub_program(
    grub: Distribution, wanted: Sequence[str], configuration: bytes, sbat: bytes, key: bytes | None
) -> Image:
    """Returns the program, which is not signed.

    Args:
        grub: the distribution's files.
        wanted: names of the modules that the configuration uses; those that they need are added.
        configuration: a file grub.cfg. GRUB has it in memory, as (memdisk)/grub.cfg.
        sbat: lines of SBAT; the first one is that of the format. Without any there is no such section.
        key: the public key (OpenPGP) that verifies files; None if GRUB verifies none.

    Raises:
        UserError: a module or file is missing, or damaged.
    """
    kernel = link(grub.read("kernel.img"), f"{grub.origin}: kernel.img", PAGE)
    if "_start" not in kernel.symbols:
        raise UserError(f"{grub.origin}: kernel.img has no symbol _start")
    names = _module_names(grub, [*_ALWAYS, *(_FOR_KEYS if key else ()), *wanted])
    objects = [(modules.MODULE, grub.read(f"{name}.mod")) for name in names]
    disk = modules.memory_disk({_CONFIGURATION: (_VERIFIES if key else b"") + configuration})
    objects += [(modules.MEMORY_DISK, disk)]
    objects += [(modules.CONFIGURATION, _FIRST + b"\0"), (modules.PREFIX, _PREFIX.encode() + b"\0")]
    objects += [(modules.DISABLE_SHIM_LOCK, b""), *([(modules.PUBLIC_KEY, key)] if key else [])]
    sections = [
        NewSection(".text", Image.from_bytes(kernel.code), CODE),
        NewSection(".data", Image.from_bytes(kernel.data), WRITABLE_DATA),
        NewSection("mods", Image.from_bytes(modules.section(objects)), WRITABLE_DATA),
    ]
    if sbat:
        sections.append(NewSection(".sbat", Image.from_bytes(merged_sbat(b"", sbat)), DATA))
    return efi_application(sections, kernel.symbols["_start"], kernel.words)


def _module_names(grub: Distribution, wanted: Sequence[str]) -> list[str]:
    origin = f"{grub.origin}: moddep.lst"
    try:
        text = grub.read("moddep.lst").decode("ascii")
    except UnicodeDecodeError as error:
        raise UserError(f"{origin}: is not ASCII") from error
    return modules.in_order(wanted, modules.read_dependencies(text, origin))
