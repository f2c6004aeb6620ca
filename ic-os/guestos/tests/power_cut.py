"""Records what is written to a machine of files, and makes of it what a power cut may leave.

The partitions are recorded as the kernel gets the writes. The two files of the boot state are on a FAT file system and
keep their place and size, so rewriting one is a write of its two sectors; GRUB itself writes them like that. The files
of the config store are on a journalled file system: a file gets its new name as a whole or not at all, and what is in
it is sure once it was synchronised.

What was synchronised before a power cut is there after it. Of what was not, each write may be there or not.
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
"""Of an upgrade, as `record_upgrade` goes through them."""


@dataclass(frozen=True)
class Event:
    """Something that was done to a file.

    Attributes:
        kind: write, punch, create, rename, folder or sync.
        path: of the file; of its folder for the sync of a name.
        offset: in bytes.
        data: what was written.
        length: of a hole, in bytes.
        target: the new name.
        label: what the machine was at.
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
    """Records the events on files below a folder, while it is installed in place of functions of `os`."""

    folder: Path
    events: list[Event] = field(default_factory=list)
    label: str = ""

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Takes the place of the functions."""
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
    """Has a machine go through a whole upgrade; returns what was done to its disk.

    Args:
        machine: the machine.
        update: the update image.
        before: an empty folder that gets the disk as it was.
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
    """Returns whether a slot holds a whole update and, before its first boot, no var of an earlier system."""
    boot, root = update.images
    var = machine.partition(slot, "var").read_bytes()[: 16 * MIB]
    return machine.holds(slot, "boot", boot) and machine.holds(slot, "root", root) and not var.strip(b"\0")


@dataclass(frozen=True)
class Cut:
    """A power cut: how many events were done, which of them are lost, and how much of the last write there is.

    Attributes:
        done: the number of events.
        lost: indices of those that did not reach the disk.
        torn: of the last write, in bytes; None for all.
    """

    done: int
    lost: frozenset[int] = frozenset()
    torn: int | None = None


def cuts(events: list[Event]) -> Iterator[Cut]:
    """Yields a cut after every event, and with it each single write lost that was not synchronised, and all of them."""
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
    """Returns the files that are a machine's disk, but for the slot that runs, which is not written."""
    found = [path for name in ("grub", "dev", "config") for path in (folder / name).rglob("*")]
    return sorted(path for path in found if path.is_file() and not path.name.startswith("A_"))


def copy_disk(source: Path, target: Path) -> None:
    """Makes one machine's disk that of another, but for the slot that runs, which is not written."""
    for name in ("grub", "dev", "config"):
        (target / name).mkdir(exist_ok=True)
    for path in disk_files(target):
        path.unlink()
    for path in disk_files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(exist_ok=True)
        subprocess.run(["cp", "--sparse=always", path, copy], check=True)


def replay(events: list[Event], cut: Cut, recorded: Path, folder: Path) -> None:
    """Does to a copy of the disk, as it was before, what was done and not lost."""
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
