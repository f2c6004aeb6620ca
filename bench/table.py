"""Prints the table of figures of README.md: runs the command of each row, and takes the figure from its output."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.workspace import called_in
from tools.core.cli import argument, run
from tools.core.errors import UserError

_TOTALS = r"stock tools.*?all +\S+ +(\S+) +(\S+)\n.*?this project.*?all +\S+ +(\S+) +(\S+)\n"
_DISK = "bazel-bin/ic-os/guestos/dev/disk-img.tar"
_SHOW = "--test_output=all --color=no --curses=no"


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        feature: the first cell.
        figure: the second one, with `{0}` for the first group of `pattern`, and so on.
        command: the third one, for a shell.
        pattern: a regular expression, which finds the measured values in what the command prints.
        more: what is added to the command so that it prints them.
    """

    feature: str
    figure: str
    command: str
    pattern: str = ""
    more: str = ""


ROWS = (
    Row(
        "less work than the stock tools",
        "a root tar of {0} MB to a disk's `.tar.zst` and `.tar.gz`: {5} of the time, {6} of the processor time ({3} of "
        "{1} s) of mke2fs, veritysetup, sfdisk, dd, tar, zstd and pigz",
        "bazel build //ic-os/guestos/base:dev && bazel run //bench:disk_image -- "
        "--root_tar=$PWD/bazel-bin/ic-os/guestos/base/dev.tar",
        rf"root tar of (\d+) MB to disk.*?{_TOTALS}ours takes (\S+) of the wall time, (\S+) of the CPU time",
    ),
    Row(
        "the cost follows the data, not the size",
        "an ext4 of 8 TiB with 1 MiB in it: {2} s of processor time, {3} MiB of memory (mke2fs and tar: {0} s, "
        "{1} MiB)",
        "bazel run //bench:large_file_system -- --size=8796093022208",
        _TOTALS,
    ),
    Row(
        "holes are not stored",
        "the GuestOS's disk of 50 GiB is a tar of {0} MB, {1} MB as `.zst`",
        "bazel build //ic-os/guestos/dev:disk-img",
        r"([0-9]+)\d{6}\n([0-9]+)\d{6}\n",
        f" && stat --dereference --format=%s {_DISK} {_DISK}.zst",
    ),
    Row(
        "a changed file is rebuilt alone",
        "all 12 outputs of the next row in {0} s, {1} s of processor time: {4} times that of `cp` and SHA-256 of the "
        "six images; nothing changed: {2} s",
        "bazel run //bench:changed_file",
        r"one changed file, 12 outputs +(\S+) +(\S+)\n.*nothing changed +(\S+) +(\S+)\n.* (\S+) times the CPU time",
    ),
    Row(
        "caches serve it",
        "all 12 outputs (two images in three formats, and checksums) in {0} s on a machine without any: {1} actions, "
        "none run",
        "bazel test //tests/remote:guestos_test",
        r'"seconds": \{[^}]*"warm": ([0-9.]+).*?"warm": \{\s*"remote cache hit": (\d+)',
        f" {_SHOW}",
    ),
    Row(
        "same bytes in other surroundings",
        "another path, user, time zone, Python, file system, clock and number of processors",
        "bazel test //tests/repro:guestos_test",
    ),
    Row(
        "power cuts leave a bootable disk",
        "{0} simulated cuts during install, commit and confirm, {1} different disks: the boot loader finds a complete "
        "system on each",
        "bazel test //ic-os/guestos/tests:power_cut_test",
        r"(\d+) power cuts .* (\d+) distinct disks, 0 bricks",
        f" {_SHOW}",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    features: tuple[str, ...] = argument(
        "print only rows whose first cell has one of these words", default=(), positional=True
    )


def chosen(words: Sequence[str]) -> list[Row]:
    """Returns the rows whose feature has one of the words; all if there are no words.

    Raises:
        UserError: there is no such row.
    """
    rows = [row for row in ROWS if not words or any(word in row.feature for word in words)]
    if not rows:
        raise UserError(f"{' '.join(words)}: is in none of: {', '.join(row.feature for row in ROWS)}")
    return rows


def measured(row: Row, checkout: Path) -> str:
    """Runs the command of a row; returns the row in Markdown.

    Raises:
        UserError: the command failed, or its output doesn't have the figure.
    """
    command = row.command + row.more
    done = subprocess.run(["bash", "-c", command], cwd=checkout, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{command}: failed with {done.returncode}; what it said is above")
    found = re.search(row.pattern, done.stdout, re.DOTALL)
    if found is None:
        raise UserError(f"{command}: printed no figure that matches {row.pattern!r}; adapt bench/table.py")
    return f"| {row.feature} | {row.figure.format(*found.groups())} | `{row.command}` |"


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    checkout = called_in("//bench:table")
    lines = [measured(row, checkout) for row in chosen(arguments.features)]
    print("| feature | figure | command |", "|---|---|---|", *lines, sep="\n")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
