"""Runs on a physical host: prints what it has for guests, as a JSON object. Arguments: libvirt's URI, a folder.

problem         why it cannot run guests; null if it can
running         names of the guests that run
has_kvm         whether guests can have KVM
memory_mib      memory that is available, in MiB
folder_bytes    space that is available for the folder, in bytes

It needs nothing but the Python of the host.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

_PROGRAMS = {"virsh": "libvirt-clients", "qemu-img": "qemu-utils", "tar": "tar"}


def missing() -> str | None:
    """Returns what a program that is missing is called, with Debian's package; None if there are all."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"{program}: not found; install it there (Debian: {package})"
    return None


def virsh(uri: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Returns the result of a command of virsh, whose messages are not translated."""
    command, environment = ["virsh", "--connect", uri, *words], {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def main(uri: str, folder: str) -> None:
    """Prints the object."""
    problem, running, has_kvm = missing(), [], False
    if problem is None:
        result = virsh(uri, "list", "--name")
        running = result.stdout.split()
        if result.returncode != 0:
            problem = f"libvirt: {uri}: {result.stderr.strip().splitlines()[-1].removeprefix('error: ')}"
        else:
            has_kvm = virsh(uri, "domcapabilities", "--virttype", "kvm").returncode == 0
    match = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text("ascii"), re.MULTILINE)
    place = Path(folder)
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    answer = {
        "problem": problem,
        "running": running,
        "has_kvm": has_kvm,
        "memory_mib": int(match[1]) >> 10 if match else 0,
        "folder_bytes": status.f_bavail * status.f_frsize,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
