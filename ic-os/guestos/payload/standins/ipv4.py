"""Sets the node's IPv4 address, by guestos_tool, which sudo runs as root."""

from __future__ import annotations

from pathlib import Path

from standins.registry import Ipv4
from standins.upgrade import call


def set_ipv4(ipv4: Ipv4 | None, binaries: Path) -> None:
    """Sets the IPv4 address, or removes it.

    Args:
        ipv4: the address; None for none.
        binaries: folder with the programs of the release.

    Raises:
        StandInError: guestos_tool cannot be run, or fails.
    """
    options = []
    if ipv4 is not None:
        options = [
            f"--ipv4-address={ipv4.address}",
            f"--ipv4-prefix-length={ipv4.prefix_length}",
            f"--ipv4-gateway={ipv4.gateway}",
        ]
    # Found by PATH: on a machine, the orchestrator's service has its own program of that name.
    call(Path("sudo"), str(binaries / "guestos_tool"), "regenerate-network-config", *options)


def shown(ipv4: Ipv4 | None) -> str:
    """Returns an address for messages."""
    return "none" if ipv4 is None else f"{ipv4.address}/{ipv4.prefix_length}"
