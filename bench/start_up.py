"""Measures how long the commands of a build take to start, as a ratio to an empty Python program.

Runs alternate; the best run of each command counts.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.measure import Measure, Step, measure, tool_command
from tools.core.cli import argument, run

COMMANDS = (
    "boot_args",
    "compress",
    "disk_image",
    "ext4_image",
    "initramfs",
    "sha256",
    "upgrade_image",
    "upgrade_manifest",
    "upgrade_signature",
    "verity_image",
    "vfat_image",
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    runs: int = argument("number of runs of each command", default=10)


def steps() -> list[Step]:
    """Returns an empty program, and each command with the one flag that makes it end at once."""
    empty = Step("python -c pass", [sys.executable, "-c", "pass"])
    return [empty, *(Step(name, tool_command(name, "--help")) for name in COMMANDS)]


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    measures: dict[str, list[Measure]] = {}
    with tempfile.TemporaryDirectory() as work:
        for _ in range(arguments.runs):
            for step in steps():
                measures.setdefault(step.name, []).append(measure(step, Path(work)))
    best = {name: min(each.cpu for each in found) for name, found in measures.items()}
    empty = next(iter(best.values()))
    print(f"{'command':<20} {'cpu ms':>7} {'ratio':>6}")
    for name, cpu in best.items():
        print(f"{name:<20} {cpu * 1000:7.0f} {cpu / empty:6.1f}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
