"""Metrics of this process, from the files of /proc that the programs of a release read."""

from __future__ import annotations

import os
import re
import resource
from pathlib import Path

from standins.problems import StandInError

_SELF = Path("/proc/self")


def process_metrics() -> str:
    """Returns the metrics as text.

    Raises:
        StandInError: a file cannot be read.
    """
    try:
        threads = (_SELF / "stat").read_text().rpartition(")")[2].split()[17]
        pages = (_SELF / "statm").read_text().split()[1]
        limits = (_SELF / "limits").read_text()
        opened = len(os.listdir(_SELF / "fd"))
        booted = re.search(r"^btime (\d+)$", Path("/proc/stat").read_text(), re.MULTILINE)
    except OSError as error:
        raise StandInError(f"{error.filename}: cannot be read: {error.strerror}") from error
    most = re.search(r"^Max open files +(\d+)", limits, re.MULTILINE)
    if booted is None or most is None:
        raise StandInError("/proc: has no time of the boot, or no limit of open files")
    values = {
        "process_threads": threads,
        "process_resident_memory_bytes": int(pages) * resource.getpagesize(),
        "process_open_fds": opened,
        "process_max_fds": most[1],
        "node_boot_time_seconds": booted[1],
    }
    return "".join(f"{name} {value}\n" for name, value in values.items())
