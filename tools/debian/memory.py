"""Tells how much memory this process may still use."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Returns the bytes that are available on this machine, and in each control group that this process is in.

    The machine's are MemAvailable of proc_meminfo(5); a group's are what its limit leaves of its use, in version 2 of
    control groups (https://docs.kernel.org/admin-guide/cgroup-v2.html) memory.max and memory.current, and in version 1
    (https://docs.kernel.org/admin-guide/cgroup-v1/memory.html) memory.limit_in_bytes and memory.usage_in_bytes. 0 if
    the machine's are not known.

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
            number, controllers, path = line.split(":", 2)
            if number == "0":
                yield from _left_in_each(root / "sys/fs/cgroup", path, "memory.max", "memory.current")
            elif "memory" in controllers.split(","):
                top = root / "sys/fs/cgroup/memory"
                yield from _left_in_each(top, path, "memory.limit_in_bytes", "memory.usage_in_bytes")


def _left_in_each(top: Path, path: str, limit: str, used: str) -> Iterator[int]:
    """Yields the bytes that are left in a group and in those that it is in, by the names of two files of each."""
    group = top / path.lstrip("/")
    for folder in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):  # ValueError: the maximum is "max"
            yield int((folder / limit).read_text()) - int((folder / used).read_text())
        if folder == top:
            break
