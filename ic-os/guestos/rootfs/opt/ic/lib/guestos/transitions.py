"""What changes the boot state from inside the system: the commit of an upgrade, and the confirmation of a boot."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace

from guestos import boot_state, booted, install, journal, slots, versions
from guestos.boot_state import FIRST_BOOT, BootState, other
from guestos.environment import Environment
from guestos.errors import BusyError, GuestError, StateError
from guestos.manifest import PIECE_SIZE
from guestos.partition import Partition
from guestos.slots import Slot
from guestos.system import read_boot_state


def commit(environment: Environment, version: str | None = None) -> str:
    """Makes the slot that an upgrade was installed in the next one to boot, for one try; returns its version.

    Args:
        environment: the machine.
        version: the version that must be installed there; None for any.

    Raises:
        StateError: nothing was installed there that is whole, or not that version.
        GuestError: the state cannot be written; it is what it was.
    """
    with locked(environment):
        slot = install.check_state(environment)
        ready = _ready(environment, slot, version)
        _check_heads(environment, slot, ready)
        # Noted first: a slot that had its try is not taken for one that waits for it.
        slots.write(environment, slot, replace(ready, state=slots.COMMITTED))
        try:
            with writable(environment.grubenv):
                boot_state.write(environment.grubenv, BootState(slot, FIRST_BOOT, other(slot)))
        except GuestError:
            if boot_state.read(environment.grubenv).cycle != FIRST_BOOT:
                slots.write(environment, slot, ready)
            raise
    journal.note(f"slot {slot} with version {ready.version} is booted next, for one try")
    return ready.version


def _ready(environment: Environment, slot: str, version: str | None) -> Slot:
    known = slots.read(environment, slot)
    if known is None or known.state != slots.READY:
        state = "nothing was installed there" if known is None else _why_not_ready(known)
        raise StateError(f"slot {slot} cannot be booted: {state}; run manageboot.sh upgrade-install first")
    if version is not None and known.version != version:
        raise StateError(f"slot {slot} has version {known.version}, not {version}")
    return known


def _why_not_ready(known: Slot) -> str:
    return {
        slots.INSTALLING: f"the installation of version {known.version} did not end",
        slots.FAILED: f"the installation of version {known.version} failed: {known.problem}",
        slots.COMMITTED: f"version {known.version} was committed before, and was not confirmed",
        slots.CONFIRMED: f"it has version {known.version}, which was replaced",
    }[known.state]


def _check_heads(environment: Environment, slot: str, ready: Slot) -> None:
    """Checks that the partitions still begin as the installation left them."""
    for name, expected in zip(("boot", "root"), ready.heads, strict=True):
        with Partition(environment.partition(slot, name)) as partition:
            (head,) = partition.read_back(0, min(PIECE_SIZE, partition.size))
            if hashlib.sha256(head).hexdigest() != expected:
                raise StateError(f"{partition.path}: was changed since the installation; install again")


def confirm(environment: Environment) -> None:
    """Makes the running slot the one to boot from now on; that is on the disk when this returns.

    Where that is so already, nothing is written.

    Raises:
        StateError: what runs is not what is on trial.
        GuestError: the state cannot be written.
    """
    slot = booted.read(environment.booted).slot
    if boot_state.read(environment.grubenv).is_confirmed(slot) and not _has_to_be_noted(environment, slot):
        return
    with locked(environment):
        before = boot_state.read(environment.grubenv)
        confirmed = before.confirm(slot)
        if confirmed != before:
            with writable(environment.grubenv):
                boot_state.write(environment.grubenv, confirmed)
        _note_confirmation(environment, slot)
    journal.note(f"confirmed slot {slot}; the boot state was {before.describe()}")


def _has_to_be_noted(environment: Environment, slot: str) -> bool:
    known = slots.read(environment, slot)
    return known is not None and known.state == slots.COMMITTED


def _note_confirmation(environment: Environment, slot: str) -> None:
    try:
        known = slots.read(environment, slot)
        if known is not None and known.state == slots.COMMITTED:
            slots.write(environment, slot, replace(known, state=slots.CONFIRMED))
        versions.keep_floor(environment)
    except GuestError as error:
        journal.warn(f"confirmed slot {slot}, and could not note it: {error}")


def end_trial(environment: Environment) -> None:
    """Has the machine start over if what runs is a new system that was not confirmed: the boot loader then goes back.

    A boot state that cannot be read is one that was not confirmed.

    Raises:
        GuestError: the machine does not start over.
    """
    if read_boot_state(environment) != FIRST_BOOT:
        return
    slot = booted.read(environment.booted).slot
    if boot_state.read(environment.grubenv).is_confirmed(slot):
        return
    journal.error(f"slot {slot} was not confirmed in time: the machine starts over, back to slot {other(slot)}")
    reboot(environment)


def reboot(environment: Environment) -> None:
    """Has the machine start over.

    Raises:
        GuestError: it does not.
    """
    try:
        result = subprocess.run(environment.reboot, capture_output=True, text=True, check=False)
    except OSError as error:
        raise GuestError(f"{environment.reboot[0]}: cannot be run: {error.strerror}") from error
    if result.returncode != 0:
        raise GuestError(f"the machine does not start over by itself: {result.stderr.strip()}; reboot it")


@contextlib.contextmanager
def locked(environment: Environment) -> Iterator[None]:
    """Keeps a second manageboot.sh from changing the same state meanwhile; a lock on its folder writes nothing.

    Raises:
        BusyError: another one runs.
    """
    folder = os.path.dirname(os.path.abspath(environment.grubenv))
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise GuestError(f"{folder}: cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BusyError("another manageboot.sh is at work; try again when it is done") from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
    """Makes the file system of a path writable for as long as it is needed, where it is mounted read-only.

    Raises:
        GuestError: it cannot be made writable. That it cannot be made read-only again is no reason to fail: what had to
            be written is on the disk.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.ismount(folder) or not os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield
        return
    _remount(folder, "rw")
    try:
        yield
    finally:
        try:
            _remount(folder, "ro")
        except GuestError as error:
            journal.warn(str(error))


def _remount(folder: str, mode: str) -> None:
    command = ["/usr/bin/mount", "-o", f"remount,{mode}", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GuestError(f"{folder}: cannot be made {mode}: {result.stderr.strip()}")
