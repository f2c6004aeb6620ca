#!/usr/bin/python3
"""Updates a machine with two systems, and says which one runs.

usage: ab-update status           print slot and version of the running system, and whether it is confirmed
       ab-update check IMAGE      verify the signature of an update image, and print its version
       ab-update install IMAGE    write an update image to the other slot, to be tried at the next boot
       ab-update confirm          keep the running system, if its units are healthy
       ab-update revert           reboot into the confirmed system, if the running one is on trial

The boot loader boots the slot `trial` once, and else the slot `slot`, as the file `slots` on the EFI system partition
has them. Only the first sector of that file changes, so that a power cut leaves either the old state or the new one. An
installation leaves the running slot alone, and sets `trial` when all data is on the disk and was read back.

A machine installs no image whose rollback index is below its floor: the higher one of the running system's index and of
that in the file `slots`, which `confirm` raises to the first.

Before it changes anything, `confirm` waits until each unit in healthy.json has been active for the seconds there. A
service that crashes and is started again has to be active for as long from then on; if it isn't in time, or a unit
fails, the system isn't confirmed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

SLOTS = ("A", "B")
_BLOCK_SIZE = 1024  # of GRUB's environment blocks
_HEADER = "# GRUB Environment Block\n"
_SLOTS_FILE = "EFI/debian/slots"
_DEFAULTS = {"rollback_index": 0, "trust": "distribution"}
"""What systems and images are of that are older than these values."""

_PATIENCE = 6
"""How long `confirm` waits, in multiples of the seconds that a unit has to be active."""
_POLL_SECONDS = 1.0
_PROPERTIES = (
    "ActiveEnterTimestampMonotonic",
    "ActiveState",
    "ConditionResult",
    "ConditionTimestampMonotonic",
    "NRestarts",
    "Result",
    "SubState",
    "Type",
)
"""What `confirm` asks of a unit: org.freedesktop.systemd1(5)."""


class RefusedError(Exception):
    """What this machine doesn't do, and why."""


@dataclass(frozen=True)
class State:
    """What the boot loader reads.

    Attributes:
        slot: the confirmed slot.
        trial: the slot to try once at the next boot; empty for none.
        floor: the highest rollback index of a system that was confirmed. The boot loader leaves it as it is.
    """

    slot: str
    trial: str = ""
    floor: int = 0

    @classmethod
    def parse(cls, block: bytes) -> State:
        """Returns the state in an environment block, as the boot loader understands it."""
        pairs = dict(line.partition("=")[::2] for line in block.decode("utf-8", "replace").splitlines())
        trial = pairs.get("trial", "")
        floor = pairs.get("rollback_index", "")
        return cls(
            "B" if pairs.get("slot") == "B" else "A",
            trial if trial in SLOTS else "",
            int(floor) if re.fullmatch("[0-9]{1,10}", floor) else 0,
        )

    def block(self) -> bytes:
        """Returns the environment block."""
        floor = f"rollback_index={self.floor}\n" if self.floor else ""
        return f"{_HEADER}slot={self.slot}\ntrial={self.trial}\n{floor}".encode().ljust(_BLOCK_SIZE, b"#")


@dataclass(frozen=True)
class System:
    """The machine.

    Attributes:
        home: directory of this program's files: healthy.json, system.json, version, keys.
        partitions: directory of the partitions by name.
        slot_file: file in which the initramfs has written the running slot.
    """

    home: Path = Path("/usr/lib/ab-system")
    partitions: Path = Path("/dev/disk/by-partlabel")
    slot_file: Path = Path("/run/ab-slot")

    @property
    def version(self) -> str:
        """The version of the running system."""
        return _text(self.home / "version").strip()

    @property
    def running(self) -> str:
        """The running slot."""
        return _text(self.slot_file).strip()

    @property
    def identity(self) -> dict[str, Any]:
        """What the root says of the running system, with the names of the manifest of an update image."""
        return {**_DEFAULTS, **_object(self.home / "system.json")}

    @property
    def floor(self) -> int:
        """The lowest rollback index that an update image may have."""
        return max(int(self.identity["rollback_index"]), self.state().floor)

    @contextmanager
    def state_file(self) -> Iterator[BinaryIO]:
        """Opens the file of the boot loader's state.

        Raises:
            RefusedError: the EFI system partition cannot be mounted.
        """
        # No TemporaryDirectory: where umount fails or is interrupted, that removes the files of the partition.
        folder = tempfile.mkdtemp(prefix="ab-update-")
        try:
            command = ["mount", "-t", "vfat", str(self.partitions / "esp"), folder]
            mounted = subprocess.run(command, capture_output=True, text=True, check=False)
            if mounted.returncode:
                said = " ".join(mounted.stderr.split())
                raise RefusedError(f"{self.partitions / 'esp'}: cannot be mounted, which needs root: {said}")
            try:
                with open(Path(folder, _SLOTS_FILE), "r+b") as file:
                    yield file
            finally:
                subprocess.run(["umount", "--lazy", folder], check=True)
        finally:
            with suppress(OSError):
                os.rmdir(folder)

    def state(self) -> State:
        """Returns the boot loader's state."""
        with self.state_file() as file:
            return State.parse(file.read(_BLOCK_SIZE))

    def put_state(self, state: State) -> None:
        """Changes the boot loader's state."""
        with self.state_file() as file:
            file.write(state.block())
            file.flush()
            os.fsync(file.fileno())

    def unit(self, name: str) -> dict[str, str]:
        """Returns what systemd says of a unit: values of _PROPERTIES, those that units of its type have.

        Raises:
            RefusedError: systemd doesn't answer.
        """
        command = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", "--", name]
        shown = subprocess.run(command, capture_output=True, text=True, check=False)
        if shown.returncode:
            raise RefusedError(f"{name}: systemctl doesn't show its state: {' '.join(shown.stderr.split())}")
        return dict(line.partition("=")[::2] for line in shown.stdout.splitlines())

    def now(self) -> float:
        """Returns the time in seconds, by the clock of systemd's monotonic timestamps."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Waits."""
        time.sleep(seconds)

    def reboot(self) -> None:
        """Reboots."""
        subprocess.run(["systemctl", "--no-block", "reboot"], check=True)


def _text(path: Path) -> str:
    """Returns the text of a file.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RefusedError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise RefusedError(f"{path}: is damaged: {error}") from error


def _object(path: Path) -> dict[str, Any]:
    """Returns the object of a JSON file.

    Raises:
        RefusedError: it cannot be read, or has none.
    """
    try:
        found = json.loads(_text(path))
    except ValueError as error:
        raise RefusedError(f"{path}: is damaged: {error}") from error
    if not isinstance(found, dict):
        raise RefusedError(f"{path}: is damaged: it has no object")
    return found


def is_signed(system: System, manifest: bytes, signatures: bytes) -> bool:
    """Returns whether a manifest is signed by one of the machine's keys.

    Lines of signatures have algorithm, key and value.
    """
    keys = sorted((system.home / "keys").glob("*.pem"))
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "manifest").write_bytes(manifest)
        for line in signatures.decode("ascii", "replace").splitlines():
            try:
                Path(folder, "signature").write_bytes(bytes.fromhex(line.split()[2]))
            except (ValueError, IndexError):
                continue
            for key in keys:
                command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(key)]
                command += ["-in", f"{folder}/manifest", "-sigfile", f"{folder}/signature"]
                if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                    return True
    return False


@contextmanager
def opened(system: System, path: Path) -> Iterator[tuple[tarfile.TarFile, dict[str, Any]]]:
    """Opens an update image; yields it with its verified manifest.

    Raises:
        RefusedError: it is no update image for this machine.
    """
    try:
        with tarfile.open(path, "r:") as image:
            manifest = _member(image, "manifest.json").read()
            if not is_signed(system, manifest, _member(image, "manifest.json.sig").read()):
                raise RefusedError(f"{path}: is not signed by a key of this machine")
            content = json.loads(manifest)
            _check_purpose(system, path, content)
            yield image, content
    except (tarfile.TarError, OverflowError, ValueError) as error:  # the latter for sizes that are too large
        raise RefusedError(f"{path}: is no update image: {error}") from error
    except OSError as error:
        raise RefusedError(f"{error.filename or path}: {error.strerror}") from error


def _check_purpose(system: System, path: Path, manifest: dict[str, Any]) -> None:
    """Checks that an update image is for this machine, by what the running system's signed root says of it."""
    own = system.identity
    given: dict[str, Any] = {**_DEFAULTS, **manifest}
    if given["trust"] != own["trust"]:
        raise RefusedError(
            f"{path}: is for the mode of trust {given['trust']}, and this machine has {own['trust']}: its boot loader "
            f"would not start the image; install one that is built for {own['trust']}"
        )
    for key, expected in own.items():
        if key != "rollback_index" and given.get(key) != expected:
            raise RefusedError(f"{path}: has {key} {given.get(key)}, this machine {expected}")
    if given["rollback_index"] < (floor := system.floor):
        raise RefusedError(
            f"{path}: has the rollback index {given['rollback_index']}, and this machine takes none below {floor}: "
            "a newer system was confirmed; to go back, build and sign the older system with a higher index"
        )


def _member(image: tarfile.TarFile, name: str) -> BinaryIO:
    try:
        file = image.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise RefusedError(f"{image.name!s}: has no file {name}")
    return file  # type: ignore[return-value]


def install(system: System, path: Path) -> str:
    """Installs an update image into the other slot, and returns its version.

    Raises:
        RefusedError: the image is damaged or for other machines, or the running system is on trial: the other slot
            then has the one to go back to.
    """
    running, state = system.running, system.state()
    if state.slot != running:
        raise RefusedError("the running system is on trial; confirm it first (ab-update confirm)")
    other = "B" if running == "A" else "A"
    with opened(system, path) as (image, manifest):
        if state.trial:
            system.put_state(replace(state, trial=""))  # what is in the other slot is about to be overwritten
        for entry in manifest["images"]:
            target = system.partitions / f"{other}_{Path(entry['name']).stem}"
            _write(_member(image, entry["name"]), target, entry)
    system.put_state(replace(state, trial=other))
    return str(manifest["version"])


def _write(source: BinaryIO, target: Path, entry: dict[str, Any]) -> None:
    """Writes an image to a partition; each piece is verified before it is written, and all of them afterwards."""
    with open(target, "r+b") as partition:
        room = partition.seek(0, os.SEEK_END)
        if entry["size"] > room:
            raise RefusedError(f"{entry['name']}: has {entry['size']} bytes, and {target} has room for {room}")
        partition.seek(0)
        partition.writelines(_verified(source, entry, entry["name"]))
        partition.flush()
        os.fsync(partition.fileno())
        os.posix_fadvise(partition.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        partition.seek(0)
        for _ in _verified(partition, entry, str(target)):
            pass


def _verified(source: BinaryIO, entry: dict[str, Any], name: str) -> Iterator[bytes]:
    left = entry["size"]
    for number, expected in enumerate(entry["pieces"]):
        piece = source.read(min(entry["piece_size"], left))
        left -= len(piece)
        if hashlib.sha256(piece).hexdigest() != expected:
            raise RefusedError(f"{name}: piece {number} is damaged")
        yield piece


def confirm(system: System) -> None:
    """Keeps the running system, if it is on trial, and raises the floor to its rollback index, in the same write.

    Raises:
        RefusedError: something is to change, and a unit of `healthy.json` is not healthy.
    """
    state = system.state()
    trial = state.trial if state.slot == system.running else ""
    kept = State(system.running, trial, system.floor)
    if kept != state:
        await_health(system)
        system.put_state(kept)


def await_health(system: System) -> None:
    """Waits until each unit of `healthy.json` has been active for long enough.

    Raises:
        RefusedError: a unit has failed or ended, or was not active for long enough in time.
    """
    units, seconds = _healthy(system.home / "healthy.json")
    deadline = system.now() + _PATIENCE * seconds
    while True:
        left = {name: seconds_left(name, system.unit(name), system.now(), seconds) for name in units}
        slowest = max(left, key=lambda name: left[name], default="")
        if not slowest or not left[slowest]:
            return
        if system.now() >= deadline:
            raise RefusedError(
                f"{slowest}: was not active for {seconds:g} s without a restart, within {_PATIENCE * seconds:g} s: "
                f"{_described(system.unit(slowest))}"
            )
        system.wait(min(left[slowest], _POLL_SECONDS))


def _healthy(path: Path) -> tuple[list[str], float]:
    """Returns the units that have to be healthy, and for how many seconds.

    Raises:
        RefusedError: the file cannot be read, or is damaged.
    """
    found = _object(path)
    units, seconds = found.get("units"), found.get("seconds")
    if not isinstance(units, list) or not all(isinstance(unit, str) for unit in units):
        raise RefusedError(f"{path}: is damaged: units is no list of names")
    if not isinstance(seconds, int) or seconds < 0:
        raise RefusedError(f"{path}: is damaged: seconds is no number of seconds")
    return units, float(seconds)


def seconds_left(name: str, unit: dict[str, str], now: float, seconds: float) -> float:
    """Returns for how many seconds a unit has to go on before it is healthy; 0 if it is.

    Args:
        name: of the unit, for messages.
        unit: what systemd says of it.
        now: the time in seconds, by systemd's monotonic clock.
        seconds: how long it has to be active.

    Raises:
        RefusedError: it has failed, or has ended though it is to go on.
    """
    state = unit.get("ActiveState", "")
    if state in ("active", "reloading", "refreshing"):
        if unit.get("SubState") == "exited":  # a oneshot that is done
            return 0.0
        return max(0.0, _seconds(unit, "ActiveEnterTimestampMonotonic") + seconds - now)
    if "auto-restart" in unit.get("SubState", "") or state in ("activating", "deactivating"):
        return max(seconds, _POLL_SECONDS)
    # Of a unit that was never started, the result is `success`, too, and that of its conditions `no`.
    if state == "inactive" and not _seconds(unit, "ConditionTimestampMonotonic"):
        raise RefusedError(f"{name}: was not started; `systemctl status {name}` and the journal say why")
    done = unit.get("Type") == "oneshot" and unit.get("Result") == "success"
    skipped = unit.get("ConditionResult") == "no" or unit.get("Result") == "exec-condition"
    if state == "inactive" and (done or skipped):
        return 0.0
    raise RefusedError(f"{name}: is {_described(unit)}; `systemctl status {name}` and the journal say why")


def _seconds(unit: dict[str, str], timestamp: str) -> float:
    """Returns a timestamp of a unit by systemd's monotonic clock, in seconds; 0 if there is none."""
    text = unit.get(timestamp, "")
    return int(text) / 1e6 if text.isdecimal() else 0.0


def _described(unit: dict[str, str]) -> str:
    """Returns the state of a unit in words, such as `failed (Result=exit-code, NRestarts=5)`."""
    details = ", ".join(f"{key}={unit[key]}" for key in ("SubState", "Result", "NRestarts") if unit.get(key))
    return f"{unit.get('ActiveState') or 'unknown to systemd'} ({details})"


def revert(system: System) -> bool:
    """Reboots if the running system is on trial, and returns whether it is."""
    on_trial = system.state().slot != system.running
    if on_trial:
        system.reboot()
    return on_trial


def run(system: System, arguments: list[str]) -> int:
    """Runs a command line; returns its exit status."""
    match arguments:
        case ["status"]:
            kept = "confirmed" if system.state().slot == system.running else "on trial"
            print(f"slot {system.running}, version {system.version}, {kept}")
        case ["check", path]:
            with opened(system, Path(path)) as (_, manifest):
                print(manifest["version"])
        case ["install", path]:
            print(f"version {install(system, Path(path))} is installed; it is tried at the next boot")
        case ["confirm"]:
            confirm(system)
        case ["revert"]:
            print("back to the confirmed system" if revert(system) else "the running system is confirmed: it stays")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


def main() -> int:
    """Runs the command line of this process."""
    try:
        return run(System(), sys.argv[1:])
    except RefusedError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    except subprocess.CalledProcessError as error:
        message = f"{' '.join(error.cmd)}: failed with status {error.returncode}"
    print(f"ab-update: error: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
