"""Installs the boot loader that the confirmed system brings, on the EFI system partition.

The boot partition of a slot has the loader's files in its directory `esp`: all of the directory EFI. Only a confirmed
system changes the loader, and only with files that still have the hashes of the signed manifest by which the slot was
installed. The directory EFI is replaced as `fat` describes it, so that after a power cut the old loader or the new one
is there, whole. The old one is kept as EFI.OLD.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from guestos import boot_state, booted, journal, metrics, pe, slots
from guestos.booted import DISTRIBUTION
from guestos.environment import Environment
from guestos.errors import GuestError, ImageError, StateError
from guestos.fat import Volume
from guestos.install import first_difference
from guestos.partition import Partition

PARTITION = "esp"
NAME, KEPT = "EFI", "EFI.OLD"
FIRST_PROGRAM = "BOOT/BOOTX64.EFI"
"""What firmware starts without an entry of its own (UEFI specification, 3.5.1.1)."""
SECOND_PROGRAM = "BOOT/GRUBX64.EFI"
"""What shim starts."""
CONFIGURATION = "/GRUB.CFG"

LEVELS = "SbatLevelRT-605dab50-e046-4300-abb6-3dd810dd8b23"
"""The variable in which shim shows the generations below which it starts nothing."""

METRICS = "guestos_loader.prom"

_MOST_BYTES = 32 << 20
_ATTRIBUTES = 4
"""The bytes before the content of a variable, in a file of efivarfs."""


def update(environment: Environment) -> str:
    """Installs the boot loader of the running system, if it is confirmed and has another one than the machine.

    Returns:
        a sentence that says what was done.

    Raises:
        StateError: the loader is older than the revocations permit or than the installed one, or the partition has no
            room for it. Nothing was changed.
        ImageError: the files of the loader are damaged or incomplete. Nothing was changed.
        BusyError: the partition is mounted or in use. Nothing was changed.
        GuestError: a step failed; the old loader or the new one is installed, whole.
    """
    running = booted.read(environment.booted)
    if not boot_state.read(environment.grubenv).is_confirmed(running.slot):
        return f"slot {running.slot} is not confirmed: the boot loader stays as it is"
    try:
        done = _replace(environment, running)
    except GuestError:
        _write_metric(environment, 0)
        raise
    _write_metric(environment, 1)
    return done


def _replace(environment: Environment, running: booted.Booted) -> str:
    wanted = _read_files(os.path.join(environment.boot, PARTITION, NAME))
    if not wanted:
        return "the system brings no boot loader: it stays as it is"
    with Partition(os.path.join(environment.devices, PARTITION)) as partition:
        volume = Volume(partition)
        installed = volume.files(NAME)
        if installed == wanted:
            volume.tidy()
            return "the boot loader is that of the system"
        known = slots.read(environment, running.slot)
        if known is None or known.state not in (slots.COMMITTED, slots.CONFIRMED):
            return "the boot loader is of another system, and stays: this one was not installed by an upgrade"
        _check_source(environment, running.slot, known)
        check(wanted, installed or {}, _levels(environment), running.trust)
        volume.replace(NAME, KEPT, wanted)
    done = f"the boot loader of version {known.version} is installed; the one before is in {KEPT}"
    journal.note(done)
    return done


def _read_files(folder: str) -> dict[str, bytes]:
    """Returns the files below a directory by their paths in capitals, as FAT has them."""
    found = {}
    for place, _folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            found[os.path.relpath(path, folder).upper()] = _read(path)
    return found


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW)) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ImageError(f"{path}: is no file")
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > _MOST_BYTES:
        raise ImageError(f"{path}: has more than {_MOST_BYTES} bytes")
    return data


def _check_source(environment: Environment, slot: str, known: slots.Slot) -> None:
    """Checks that the boot partition, which has the files, is as the signed manifest says."""
    image = slots.read_manifest(environment, slot, known).boot
    with Partition(environment.partition(slot, "boot"), exclusive=False) as partition:
        if image.size > partition.size:
            raise ImageError(f"{partition.path}: is smaller than {image.name}")
        found = first_difference(image, partition, 0, len(image.pieces))
    if found is not None:
        raise ImageError(
            f"{partition.path}: was changed since the installation, in the MiB from byte {found} on; "
            "no boot loader is taken from it"
        )


def _levels(environment: Environment) -> dict[str, int]:
    """Returns the generations that shim demands; nothing where there is no shim, or one without SBAT."""
    path = os.path.join(environment.variables, LEVELS)
    try:
        with open(path, "rb") as file:
            return pe.read_generations(file.read(_MOST_BYTES)[_ATTRIBUTES:])
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    except ImageError as error:
        raise GuestError(f"{path}: {error}") from error


def check(wanted: dict[str, bytes], installed: dict[str, bytes], levels: dict[str, int], trust: str) -> None:
    """Checks a boot loader before it takes the place of another.

    Args:
        wanted: the files of the new one, by path.
        installed: those of the present one.
        levels: the lowest generations of components that are started.
        trust: the mode of trust.

    Raises:
        ImageError: a file is missing or damaged.
        StateError: a generation is too low, so that it would not be started.
    """
    programs = [FIRST_PROGRAM, *([SECOND_PROGRAM] if trust == DISTRIBUTION else [])]
    for path in programs:
        if path not in wanted:
            raise ImageError(f"the boot loader of this system has no file {path}")
    if trust == DISTRIBUTION and not any(path.endswith(CONFIGURATION) and data for path, data in wanted.items()):
        raise ImageError(f"the boot loader of this system has no configuration, {CONFIGURATION[1:]}")
    with _naming(FIRST_PROGRAM):
        demanded = pe.automatic_levels(wanted[FIRST_PROGRAM])
    for path in sorted(each for each in wanted if each.endswith(".EFI")):
        with _naming(path):
            pe.check_program(wanted[path])
            found = pe.generations(wanted[path])
        _compare(path, found, levels, f"what this machine's shim demands ({LEVELS.partition('-')[0]})")
        _compare(path, found, demanded, "what the shim beside it demands")
        _compare(path, found, _generations(installed.get(path)), "that of the installed one")


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Has errors name a program of the boot loader."""
    try:
        yield
    except ImageError as error:
        raise ImageError(f"{path} of this system's boot loader {error}") from error


def _generations(program: bytes | None) -> dict[str, int]:
    """Returns the generations of an installed program; nothing if there is none, or it is damaged."""
    with contextlib.suppress(ImageError):
        return pe.generations(program or b"")
    return {}


def _compare(path: str, found: dict[str, int], floors: dict[str, int], whose: str) -> None:
    if floors and not found:
        raise StateError(f"{path} of this system's boot loader has no SBAT, and must not be below {whose}")
    for component, generation in found.items():
        floor = floors.get(component, 0)
        if generation < floor:
            raise StateError(
                f"{path} of this system's boot loader has the SBAT generation {generation} of {component}, below "
                f"{floor}, {whose}; the boot loader stays as it is"
            )


def _write_metric(environment: Environment, current: int) -> None:
    lines = [
        "# HELP guestos_loader_current 0: the boot loader of the confirmed system could not be installed.",
        "# TYPE guestos_loader_current gauge",
        f"guestos_loader_current {current}",
    ]
    metrics.write(environment.metrics, METRICS, lines)
