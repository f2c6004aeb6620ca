"""Changes of the boot state by the running system: commit of an upgrade, confirmation of a boot, end of a trial."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace

from guestos import boot_state, booted, install, journal, rollback, slots, versions
from guestos.boot_state import FIRST_BOOT, BootState, other
from guestos.environment import Environment
from guestos.errors import BusyError, GuestError, StateError
from guestos.slots import Slot


def commit(environment: Environment, version: str | None = None) -> str:
    """Sets the slot with the installed upgrade to boot next, for one trial.

    Args:
        environment: the machine.
        version: the version that must be installed there; None for any.

    Returns:
        The version that is installed there.

    Raises:
        StateError: the slot has no complete system, or another version, or was changed since the installation.
        GuestError: the boot state cannot be written; it is unchanged.
    """
    with locked(environment):
        slot = install.check_state(environment)
        ready = _ready(environment, slot, version)
        change = install.find_change(environment, slot, slots.read_manifest(environment, slot, ready))
        if change is not None:
            raise StateError(f"{change}; install again")
        # COMMITTED is recorded before grubenv is written, so that a slot whose trial is over is never READY again.
        slots.write(environment, slot, replace(ready, state=slots.COMMITTED))
        try:
            with writable(environment.grubenv):
                boot_state.write(environment.grubenv, BootState(slot, FIRST_BOOT, other(slot)))
        except GuestError:
            if boot_state.read(environment.grubenv).cycle != FIRST_BOOT:
                slots.write(environment, slot, ready)
            raise
    journal.note(f"slot {slot} with version {ready.version} is booted next, on trial")
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
        slots.INSTALLING: f"the installation of version {known.version} did not finish",
        slots.FAILED: f"the installation of version {known.version} failed: {known.problem}",
        slots.COMMITTED: f"version {known.version} was committed before, and was not confirmed",
        slots.CONFIRMED: f"it has the previous version {known.version}",
    }[known.state]


def confirm(environment: Environment) -> None:
    """Confirms the running slot, which is booted from now on. The boot state is fsynced when this returns.

    If the slot is confirmed already, only a rollback floor that is too low is written: the disk of a new machine has
    none, and a TPM may have been replaced. Otherwise the service that installs the slot's boot loader is started, which
    has an outcome of its own.

    Raises:
        StateError: another slot is on trial, or waits for its first boot.
        GuestError: the boot state cannot be written.
    """
    slot = booted.read(environment.booted).slot
    if boot_state.read(environment.grubenv).is_confirmed(slot) and not _is_recorded_as_committed(environment, slot):
        _keep_rollback_floor_again(environment, slot)
        return
    with locked(environment):
        before = boot_state.read(environment.grubenv)
        confirmed = before.confirm(slot)
        if confirmed != before:
            with writable(environment.grubenv):
                boot_state.write(environment.grubenv, confirmed)
        _record_confirmation(environment, slot)
    journal.note(f"confirmed slot {slot}; the boot state was {before.describe()}")
    try:
        _run(environment.update_loader)
    except GuestError as error:
        journal.warn(f"the boot loader is updated at the next boot: {error}")


def _is_recorded_as_committed(environment: Environment, slot: str) -> bool:
    known = slots.read(environment, slot)
    return known is not None and known.state == slots.COMMITTED


def _keep_rollback_floor(environment: Environment, slot: str) -> None:
    """Raises the rollback floor; another `confirm` tries again what has failed."""
    try:
        rollback.keep_floor(environment)
    except GuestError as error:
        journal.warn(f"slot {slot} is confirmed, but its rollback floor cannot be kept: {error}")


def _keep_rollback_floor_again(environment: Environment, slot: str) -> None:
    """Raises the floor of a slot that is confirmed already, unless another manageboot.sh changes something."""
    try:
        with locked(environment):
            _keep_rollback_floor(environment, slot)
    except GuestError as error:
        journal.warn(f"slot {slot} is confirmed; the next confirm checks its rollback floor: {error}")


def _record_confirmation(environment: Environment, slot: str) -> None:
    _keep_rollback_floor(environment, slot)
    try:
        # The floors come first: as long as the record says COMMITTED, another `confirm` does all of this again.
        versions.keep_floor(environment)
        known = slots.read(environment, slot)
        if known is not None and known.state == slots.COMMITTED:
            slots.write(environment, slot, replace(known, state=slots.CONFIRMED))
    except GuestError as error:
        journal.warn(f"slot {slot} is confirmed, but a floor or its record cannot be written: {error}")


def end_trial(environment: Environment) -> None:
    """Reboots if the running system is on trial and not confirmed; the boot loader then falls back to the other slot.

    A boot state that cannot be read counts as not confirmed.

    Raises:
        GuestError: the reboot fails.
    """
    running = booted.read(environment.booted)
    if running.reason != FIRST_BOOT:
        return
    slot = running.slot
    if boot_state.read(environment.grubenv).is_confirmed(slot):
        return
    journal.error(f"slot {slot} was not confirmed in time: rebooting into slot {other(slot)}")
    reboot(environment)


def reboot(environment: Environment) -> None:
    """Starts a reboot of the machine.

    Raises:
        GuestError: the command that reboots fails.
    """
    try:
        _run(environment.reboot)
    except GuestError as error:
        raise GuestError(f"{error}; reboot the machine by hand") from error


def _run(command: Sequence[str]) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise GuestError(f"{command[0]}: cannot be run: {error.strerror}") from error
    if result.returncode != 0:
        raise GuestError(f"{' '.join(command)} failed: {result.stderr.strip()}")


@contextlib.contextmanager
def locked(environment: Environment) -> Iterator[None]:
    """Holds the lock on the boot state, so that only one manageboot.sh changes it at a time.

    The lock is flock(2) on the directory of grubenv, which works on a read-only file system too.

    Raises:
        BusyError: another process holds the lock.
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
            raise BusyError("another manageboot.sh is running; retry when it has finished") from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def writable(path: str) -> Iterator[None]:
    """Remounts the file system of a path read-write for the duration of the context, if it is mounted read-only.

    An error of the remount to read-only at the end is logged and ignored: the data has been fsynced by then.

    Raises:
        GuestError: the file system cannot be remounted read-write.
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
        raise GuestError(f"{folder}: cannot be remounted {mode}: {result.stderr.strip()}")
