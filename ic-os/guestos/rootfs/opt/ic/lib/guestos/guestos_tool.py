"""The command guestos_tool, by which the orchestrator of a newer release sets the IPv4 address that the registry has.

    guestos_tool regenerate-network-config [--ipv4-address=A --ipv4-prefix-length=N --ipv4-gateway=G]

writes the .network file again, as network.py does it from network.conf but with this address; without one, the machine
has none of its own. At the next boot network.conf counts again, until the orchestrator runs.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from guestos import network, privilege
from guestos.errors import GuestError, UsageError

_OPTIONS = ("ipv4_address", "ipv4_prefix_length", "ipv4_gateway")


def main(script: str, arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit status.

    Args:
        script: the path by which root runs this program.
        arguments: the command line without the program; by default that of this process.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    given = _parser().parse_args(arguments)
    try:
        address, gateway = ipv4_of(given)
        privilege.become_root(script, arguments)
        apply(address, gateway)
    except GuestError as error:
        print(f"guestos_tool: error: {error}", file=sys.stderr)
        return error.status
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="guestos_tool", description="Changes the configuration of the running system.", allow_abbrev=False
    )
    text = "Set the machine's IPv4 address; without options, remove it."
    action = parser.add_subparsers(metavar="ACTION", required=True).add_parser(
        "regenerate-network-config", help=text, description=text, allow_abbrev=False
    )
    for option, placeholder in zip(_OPTIONS, ("ADDRESS", "BITS", "ADDRESS"), strict=True):
        action.add_argument(f"--{option.replace('_', '-')}", metavar=placeholder)
    return parser


def ipv4_of(given: argparse.Namespace) -> tuple[ipaddress.IPv4Interface | None, ipaddress.IPv4Address | None]:
    """Returns the address and the gateway of a command line; None for both without options.

    Raises:
        UsageError: some of the options are missing, or one is invalid.
    """
    values = [getattr(given, option) for option in _OPTIONS]
    if values == [None] * len(values):
        return None, None
    if None in values:
        raise UsageError("give all of --ipv4-address, --ipv4-prefix-length and --ipv4-gateway, or none of them")
    try:
        if not values[1].isdecimal():
            raise ValueError(f"{values[1]!r} is not the length of a prefix")
        return ipaddress.IPv4Interface(f"{values[0]}/{values[1]}"), ipaddress.IPv4Address(values[2])
    except ValueError as error:
        raise UsageError(f"the address is invalid: {error}") from error


def apply(
    address: ipaddress.IPv4Interface | None,
    gateway: ipaddress.IPv4Address | None,
    run: Callable[[Sequence[str]], None] | None = None,
) -> None:
    """Writes the .network file, and has systemd-networkd read it; does nothing if it is as it should be.

    Args:
        address: of the machine; None for none.
        gateway: its router; None for none.
        run: runs a command; by default as a process.

    Raises:
        GuestError: network.conf is invalid, the file cannot be written, or systemd-networkd does not take it.
    """
    run = run or _run
    known = network.Network()
    if os.path.exists(network.CONFIG):
        known = network.read(network.CONFIG, invalid=lambda _: None)
    interface = network.first_interface()
    wanted = replace(known, ipv4_address=address, ipv4_gateway=gateway)
    path = Path(network.FOLDER, f"10-{interface}.network")
    before = path.read_text(encoding="utf-8") if path.exists() else None
    if before is None and address is None:
        return
    if before != network.networkd_file(wanted, interface):
        network.write(wanted, interface, network.FOLDER)
        run(["/usr/bin/networkctl", "reload"])
        run(["/usr/bin/networkctl", "reconfigure", interface])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise GuestError(f"{' '.join(command)} failed: {done.stderr.strip()}")
