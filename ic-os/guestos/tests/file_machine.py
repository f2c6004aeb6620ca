"""A machine whose partitions are regular files, so that tests can inspect everything that manageboot.sh writes."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from guestos import boot_state, booted, grubenv, manageboot, slots
from guestos.boot_state import SLOTS, STABLE, BootState, Decision
from guestos.environment import Environment
from update_images import LAYOUT, MIB

from tools.image.extents import Image
from tools.image.rawfile import write_data

SIZES = {"boot": 6 * MIB, "root": 12 * MIB, "var": 20 * MIB}
"""The sizes of the partitions, in bytes."""

OLD = b"data of an earlier system "

both_modes = pytest.mark.parametrize("trust", [booted.DISTRIBUTION, booted.OWN_KEYS], indirect=True)
"""Marks tests that run in both modes of trust."""


@dataclass
class FileMachine:
    """A machine with slot A booted and confirmed. Calling it runs manageboot.sh and returns the exit status.

    Attributes:
        folder: the directory of its files.
        boot_size: the size of a boot partition, in bytes.
        trust: the mode of trust, as in `booted`.
        environment: the paths of the machine, for manageboot.sh.
    """

    folder: Path
    boot_size: int = SIZES["boot"]
    trust: str = booted.DISTRIBUTION
    environment: Environment = field(init=False)

    def __post_init__(self) -> None:
        for name in ("grub", "dev", "share/update-keys", "config", "metrics", "boot", "variables"):
            (self.folder / name).mkdir(parents=True)
        self.environment = Environment(
            grubenv=str(self.folder / "grub/grubenv"),
            booted=str(self.folder / "booted"),
            layout=str(self.folder / "layout"),
            devices=str(self.folder / "dev"),
            share=str(self.folder / "share"),
            boot=str(self.folder / "boot"),
            config=str(self.folder / "config"),
            metrics=str(self.folder / "metrics"),
            synchronized=str(self.folder / "synchronized"),
            variables=str(self.folder / "variables"),
            tpm=str(self.folder / "tpm"),
            update_loader=("/usr/bin/touch", str(self.folder / "updates-loader")),
            reboot=("/usr/bin/touch", str(self.folder / "rebooted")),
            now=lambda: dt.datetime(2026, 6, 1, tzinfo=dt.UTC).timestamp(),
        )
        (self.folder / "layout").write_bytes(LAYOUT)
        (self.folder / "share/system.json").write_text('{"product": "guestos", "variant": "dev"}\n')
        (self.folder / "share/version.txt").write_text("1.2.3\n")
        for slot in SLOTS:
            for name, size in {**SIZES, "boot": self.boot_size}.items():
                with open(self.partition(slot, name), "wb") as file:
                    file.truncate(size)
                    for offset in range(0, size, MIB):
                        os.pwrite(file.fileno(), OLD * 400, offset + 1000)
        self.state("A", STABLE, "A")
        self.runs("A")

    def __call__(self, *arguments: object) -> int:
        return manageboot.main([str(argument) for argument in arguments], self.environment)

    def partition(self, slot: str, name: str) -> Path:
        """Returns the file of a partition."""
        return self.folder / f"dev/{slot}_{name}"

    def state(self, alternative: str, cycle: str, confirmed: str) -> None:
        """Writes the boot state."""
        grubenv.write(self.environment.grubenv, {"boot_alternative": alternative, "boot_cycle": cycle})
        grubenv.write(boot_state.confirmed_path(self.environment.grubenv), {"confirmed_slot": confirmed})

    def read_state(self) -> BootState:
        """Reads the boot state."""
        return boot_state.read(self.environment.grubenv)

    def runs(self, slot: str, reason: str = STABLE) -> None:
        """Sets the slot that runs, and the boot reason."""
        values = {"SLOT": slot, "DISK": "vda", "ROOT_HASH": "00ff", "BOOT_STATE": reason, "TRUST": self.trust}
        (self.folder / "booted").write_text("".join(f"{key}={value}\n" for key, value in values.items()))

    def boot(self) -> Decision:
        """Boots the machine: does what the boot loader does if every kernel can be loaded."""
        decision = boot_state.decide(self.read_state())
        if decision.after != self.read_state():
            boot_state.write(self.environment.grubenv, decision.after)
        self.runs(decision.slot, decision.reason)
        (self.folder / "rebooted").unlink(missing_ok=True)
        return decision

    def slot(self, name: str) -> slots.Slot | None:
        """Returns the record of a slot."""
        return slots.read(self.environment, name)

    @property
    def rebooted(self) -> bool:
        """Returns whether a reboot was started."""
        return (self.folder / "rebooted").exists()

    def holds(self, slot: str, name: str, image: Image) -> bool:
        """Returns whether a partition begins with an image."""
        with open(self.folder / "expected", "w+b") as expected, open(self.partition(slot, name), "rb") as actual:
            expected.truncate(image.size)
            write_data(image, expected.fileno(), 0)
            return actual.read(image.size) == expected.read()

    def snapshot(self) -> dict[str, bytes]:
        """Returns the content of all files of the machine's disk, by path."""
        names = [path for part in ("grub", "dev", "config") for path in (self.folder / part).rglob("*")]
        return {str(path): path.read_bytes() for path in names if path.is_file()}
