"""Runs on a node, as root: prints what the node is and sees, as a JSON object. The arguments are nodes' addresses.

boot_id         identifies this boot of the machine
system          what `systemctl is-system-running` says
failed          units that failed
slots           what `manageboot.sh status --json` prints; null if it fails
replicas        by address, what the replica there says; null if none responds

It needs nothing but the Python of the node.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

_PATH = "/api/v2/status"
_PORT = 8080
_SECONDS = 5
_MOST_BYTES = 1 << 16


def output(*command: str) -> str:
    """Returns the output of a command, whatever its exit status is."""
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def slots() -> Any:
    """Returns the state of the slots; None if it cannot be read."""
    try:
        return json.loads(output("/opt/ic/bin/manageboot.sh", "status", "--json"))
    except ValueError:
        return None


def replica(address: str) -> Any:
    """Returns what the replica at an address says: a JSON object, or {} if it responds with something else."""
    try:
        with urllib.request.urlopen(f"http://[{address}]:{_PORT}{_PATH}", timeout=_SECONDS) as response:
            data = response.read(_MOST_BYTES)
    except OSError:
        return None
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def main(addresses: list[str]) -> None:
    """Prints the object."""
    with ThreadPoolExecutor(max(1, len(addresses))) as pool:
        replicas = dict(zip(addresses, pool.map(replica, addresses), strict=True))
    print(
        json.dumps(
            {
                "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
                "system": output("systemctl", "is-system-running"),
                "failed": output("systemctl", "list-units", "--failed", "--plain", "--no-legend").splitlines(),
                "slots": slots(),
                "replicas": replicas,
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
