"""Records the writes of an upgrade, and reconstructs the disks that a power cut during it may leave.

Writes to partitions are recorded as system calls. The two files of the boot state are on a FAT file system and are
overwritten in place, so a write of one is a write of its two sectors; GRUB does the same. The files of the config store
are on a journalled file system: a rename is atomic, and the content of a file is durable after its fsync.

Everything that was fsynced before the power cut is on the disk after it. Each other write may be there or not.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from file_machine import FileMachine
from guestos import partition
from update_images import MIB, Update

SECTOR = 512
PHASES = ("install", "commit", "boot", "confirm")
"""The phases of an upgrade, in order."""


@dataclass(frozen=True)
class Event:
    """A system call that changes or fsyncs a file.

    Attributes:
        kind: write, punch (a hole), create, rename, folder (mkdir) or sync.
        path: of the file; of the directory if that was created or fsynced.
        offset: of a write or hole, in bytes.
        data: the data of a write.
        length: of a hole, in bytes.
        target: the new name of a rename.
        label: the phase of the upgrade.
    """

    kind: str
    path: str
    offset: int = 0
    data: bytes = b""
    length: int = 0
    target: str = ""
    label: str = ""


@dataclass
class Recorder:
    """Records the events on files below a directory, while its functions replace those of `os`.

    Attributes:
        folder: the directory.
        events: what has been recorded.
        label: the phase that further events belong to.
    """

    folder: Path
    events: list[Event] = field(default_factory=list)
    label: str = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Replaces the functions of `os` until the patch is undone."""
        real = {name: getattr(os, name) for name in ("pwrite", "fsync", "replace", "mkdir", "open")}

        def pwrite(file: int, data: bytes, offset: int) -> int:
            self._add("write", self._path(file), offset=offset, data=bytes(data))
            return int(real["pwrite"](file, data, offset))

        def fsync(file: int) -> None:
            real["fsync"](file)
            self._add("sync", self._path(file))

        def replace(source: str, target: str) -> None:
            real["replace"](source, target)
            self._add("rename", source, target=target)

        def mkdir(path: str, mode: int = 0o777) -> None:
            real["mkdir"](path, mode)
            self._add("folder", path)

        def open_(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_TRUNC:
                self._add("create", os.fspath(path))
            return int(real["open"](path, flags, *arguments, **options))

        hole = partition.punch_hole

        def punch(file: int, offset: int, length: int) -> None:
            self._add("punch", self._path(file), offset=offset, length=length)
            hole(file, offset, length)

        for name, function in (("pwrite", pwrite), ("fsync", fsync), ("replace", replace), ("mkdir", mkdir)):
            patch.setattr(os, name, function)
        patch.setattr(os, "open", open_)
        patch.setattr(partition, "punch_hole", punch)

    def _path(self, file: int) -> str:
        return os.readlink(f"/proc/self/fd/{file}")

    def _add(self, kind: str, path: str, **values: Any) -> None:
        if path.startswith(f"{self.folder}/") and not path.startswith(f"{self.folder}/metrics"):
            self.events.append(Event(kind, path, label=self.label, **values))


def record_upgrade(machine: FileMachine, update: Path, before: Path) -> list[Event]:
    """Runs a complete upgrade on a machine and returns the events on its disk.

    Args:
        machine: the machine.
        update: path of the update image.
        before: an empty directory, which gets a copy of the disk from before the upgrade.
    """
    copy_disk(machine.folder, before)
    recorder = Recorder(machine.folder)
    with pytest.MonkeyPatch.context() as patch:
        recorder.install(patch)
        for recorder.label in PHASES:
            if recorder.label == "install":
                assert machine("upgrade-install", update) == 0
            elif recorder.label == "commit":
                assert machine("upgrade-commit") == 0
            elif recorder.label == "boot":
                assert machine.boot().slot == "B"
            else:
                assert machine("confirm") == 0
    return recorder.events


def holds_whole(machine: FileMachine, slot: str, update: Update) -> bool:
    """Returns whether a slot has a complete update, and a wiped var partition, as before its first boot."""
    boot, root = update.images
    var = machine.partition(slot, "var").read_bytes()[: 16 * MIB]
    return machine.holds(slot, "boot", boot) and machine.holds(slot, "root", root) and not var.strip(b"\0")


@dataclass(frozen=True)
class Cut:
    """A power cut.

    Attributes:
        done: the number of events before it.
        lost: indices of those events that did not reach the disk.
        torn: how much of the last write reached the disk, in bytes; None for all of it.
    """

    done: int
    lost: frozenset[int] = frozenset()
    torn: int | None = None


def cuts(events: list[Event]) -> Iterator[Cut]:
    """Yields power cuts after every event.

    After each event there is one without a lost write, one for each write that was not fsynced, with that write lost,
    one with all of these lost, and some in which the last write is torn.
    """
    for done in range(len(events) + 1):
        yield Cut(done)
        unsure = [index for index in range(done) if _is_unsure(events, index, done)]
        for index in unsure:
            yield Cut(done, frozenset({index}))
        if len(unsure) > 1:
            yield Cut(done, frozenset(unsure))
        if done and events[done - 1].kind == "write":
            size = len(events[done - 1].data)
            for torn in sorted({SECTOR, size // 2 // SECTOR * SECTOR, size - SECTOR} & set(range(SECTOR, size))):
                yield Cut(done, torn=torn)


def _is_unsure(events: list[Event], index: int, done: int) -> bool:
    event = events[index]
    if event.kind == "sync":
        return False
    path = os.path.dirname(event.path) if event.kind in ("rename", "folder") else event.path
    return not any(later.kind == "sync" and later.path == path for later in events[index + 1 : done])


def disk_files(folder: Path) -> list[Path]:
    """Returns the files of a machine's disk, except the running slot, which an upgrade does not write."""
    found = [path for name in ("grub", "dev", "config") for path in (folder / name).rglob("*")]
    return sorted(path for path in found if path.is_file() and not path.name.startswith("A_"))


def copy_disk(source: Path, target: Path) -> None:
    """Copies the disk of a machine over that of another, except the running slot, which an upgrade does not write."""
    for name in ("grub", "dev", "config"):
        (target / name).mkdir(exist_ok=True)
    for path in disk_files(target):
        path.unlink()
    for path in disk_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "--sparse=always", path, copy], check=True)


def replay(events: list[Event], cut: Cut, recorded: Path, folder: Path) -> None:
    """Applies the events before a power cut to a copy of the disk, except those that are lost.

    Args:
        events: what was recorded.
        cut: the power cut.
        recorded: the directory of the machine that was recorded.
        folder: the directory of the copy, with the disk from before the upgrade.
    """
    for index, event in enumerate(events[: cut.done]):
        if index in cut.lost:
            continue
        path = Path(event.path.replace(str(recorded), str(folder), 1))
        if event.kind == "folder":
            path.mkdir(exist_ok=True)
        elif event.kind == "create" and path.parent.exists():
            path.write_bytes(b"")
        elif event.kind == "rename" and path.exists():
            path.rename(event.target.replace(str(recorded), str(folder), 1))
        elif event.kind in ("write", "punch") and path.exists():
            last = cut.torn if index == cut.done - 1 else None
            with open(path, "r+b") as file:
                data = event.data[:last] if event.kind == "write" else bytes(event.length)
                os.pwrite(file.fileno(), data, event.offset)
