"""Tells how much memory this process may still use."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Returns the bytes that are available on this machine, and in each control group that this process is in.

    The machine's are MemAvailable of proc_meminfo(5); a group's are what memory.max leaves of memory.current in
    version 2 of control groups (https://docs.kernel.org/admin-guide/cgroup-v2.html). 0 if the machine's are not known.

    Args:
        root: directory with /proc and /sys, for tests.
    """
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB$", (root / "proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return 0
    machine = int(found[1]) << 10 if found else 0
    return max(0, min([machine, *_left_in_groups(root)]))


def _left_in_groups(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            number, _, path = line.split(":", 2)
            if number == "0":
                top = root / "sys/fs/cgroup"
                group = top / path.lstrip("/")
                for folder in (group, *group.parents):
                    with contextlib.suppress(OSError, ValueError):  # ValueError: the maximum is "max"
                        yield int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
                    if folder == top:
                        break
