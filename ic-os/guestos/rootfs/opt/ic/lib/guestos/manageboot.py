"""The command line manageboot.sh: shows and changes the boot state.

Exit status: 0 done; 1 refused or failed, with one line on standard error; 2 wrong usage.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import subprocess
import sys
import syslog
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from guestos import boot_state, booted
from guestos.boot_state import other
from guestos.booted import Booted
from guestos.errors import GuestError

GRUBENV = "/boot/grub/grubenv"
VERSION = "/opt/ic/share/version.txt"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one action and returns the exit status."""
    options = _parser().parse_args(arguments)
    action: Callable[[argparse.Namespace], None] = options.run
    try:
        action(options)
    except GuestError as error:
        print(f"manageboot.sh: {error}", file=sys.stderr)
        syslog.openlog("manageboot")
        syslog.syslog(syslog.LOG_ERR, f"{options.action}: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="manageboot.sh",
        description="Shows and changes which slot, A or B, this machine boots.",
        epilog="Exit status: 0 done; 1 refused or failed, with one line that says why; 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument("-f", dest="grubenv", default=GRUBENV, metavar="grubenv", help=f"default: {GRUBENV}")
    parser.set_defaults(booted=booted.PATH)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], None], text: str) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        action.set_defaults(run=run)
        return action

    add("confirm", _confirm, "Confirm that the running system works: it is booted from now on.")
    add("current", lambda options: print(_booted(options).slot), "Print the slot that runs.")
    add("target", lambda options: print(other(_booted(options).slot)), "Print the slot that an upgrade goes to.")
    add("next", lambda options: print(boot_state.read(options.grubenv).next_slot), "Print the slot that boots next.")
    for name in ("current_partition", "current_root"):
        add(name, _print_current_root, "Print the device of the root partition that runs.")
    for name in ("target_partition", "target_root"):
        add(name, _print_target_root, "Print the device of the root partition that an upgrade goes to.")
    status = add("status", _status, "Print the slots and the boot state.")
    status.add_argument("--json", action="store_true", help="as a JSON object")
    return parser


def _booted(options: argparse.Namespace) -> Booted:
    return booted.read(options.booted)


def _print_current_root(options: argparse.Namespace) -> None:
    print(booted.partition(_booted(options).slot, "root"))


def _print_target_root(options: argparse.Namespace) -> None:
    print(booted.partition(other(_booted(options).slot), "root"))


def _confirm(options: argparse.Namespace) -> None:
    slot = _booted(options).slot
    with _locked(options.grubenv):
        state = boot_state.read(options.grubenv)
        if state.is_confirmed(slot):
            return
        confirmed = state.confirm(slot)
        with _writable(options.grubenv):
            boot_state.write(options.grubenv, confirmed)
    syslog.openlog("manageboot")
    syslog.syslog(f"confirmed slot {slot}; it was {state.cycle}")


def _status(options: argparse.Namespace) -> None:
    slot = _booted(options).slot
    state = boot_state.read(options.grubenv)
    values = {
        "current": slot,
        "next": state.next_slot,
        "boot_alternative": state.alternative,
        "boot_cycle": state.cycle,
        "confirmed": state.confirmed,
        "version": _version(),
        "stable": state.is_confirmed(slot),
    }
    if options.json:
        print(json.dumps(values, sort_keys=True))
        return
    for name, value in values.items():
        print(f"{name}: {_text(value)}")


def _text(value: object) -> str:
    return {True: "yes", False: "no", None: "unknown"}.get(value, str(value))  # type: ignore[call-overload,no-any-return]


def _version() -> str | None:
    try:
        return Path(VERSION).read_text(encoding="utf-8").strip()
    except OSError:
        return None


@contextlib.contextmanager
def _locked(grubenv: str) -> Iterator[None]:
    """Keeps a second manageboot.sh from changing the same state meanwhile; a lock on its folder writes nothing.

    Raises:
        GuestError: another one runs.
    """
    folder = os.path.dirname(os.path.abspath(grubenv))
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise GuestError(f"{folder}: cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise GuestError("another manageboot.sh is at work; try again when it is done") from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writable(path: str) -> Iterator[None]:
    """Makes the file system of a path writable for as long as it is needed, where it is mounted read-only."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.ismount(folder) or not os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield
        return
    _remount(folder, "rw")
    try:
        yield
    finally:
        _remount(folder, "ro")


def _remount(folder: str, mode: str) -> None:
    command = ["/usr/bin/mount", "-o", f"remount,{mode}", folder]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GuestError(f"{folder}: cannot be made {mode}: {result.stderr.strip()}")
