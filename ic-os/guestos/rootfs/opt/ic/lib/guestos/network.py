"""Configures the network and the host name from network.conf in the config store.

The file has one `key=value` per line; empty lines and those that begin with `#` are skipped:

    hostname       the host name
    ipv6_address   an address, optionally with `/` and the length of its prefix (default: 64)
    ipv6_gateway   the address of the router
    name_servers   addresses of name servers, separated by spaces or commas

Without ipv6_address the address comes from router advertisements. The result is a .network file for systemd-networkd.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guestos.errors import GuestError

CONFIG = "/boot/config/network.conf"
NETWORK = "/run/systemd/network/10-guestos.network"

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_HOST_NAME_MAX = 64
"""The longest host name that Linux supports, in bytes (gethostname(2))."""


@dataclass(frozen=True, slots=True)
class Network:
    """The settings in network.conf.

    Attributes:
        hostname: None to keep the current one.
        address: None to get one by router advertisements.
        gateway: None to get one by router advertisements.
        name_servers: addresses of name servers.
    """

    hostname: str | None = None
    address: ipaddress.IPv6Interface | None = None
    gateway: ipaddress.IPv6Address | None = None
    name_servers: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...] = ()


def main() -> int:
    """Reads network.conf, writes the .network file and sets the host name.

    Returns:
        The exit status: 1 if network.conf is invalid, in which case nothing is written.
    """
    try:
        network = parse(Path(CONFIG).read_text(encoding="utf-8"), CONFIG)
    except (OSError, UnicodeDecodeError) as error:
        return _report(f"{CONFIG}: cannot be read: {error}")
    except GuestError as error:
        return _report(str(error))
    os.makedirs(os.path.dirname(NETWORK), mode=0o755, exist_ok=True)
    Path(NETWORK).write_text(networkd_file(network), encoding="ascii")
    if network.hostname is not None:
        socket.sethostname(network.hostname)
    return 0


def _report(message: str) -> int:
    print(f"<3>{message}; the network uses router advertisements and DHCP", file=sys.stderr)
    return 1


def parse(text: str, origin: str) -> Network:
    """Returns the settings in the text of a network.conf.

    Args:
        text: the file's content.
        origin: the file's name for messages.

    Raises:
        GuestError: a line is invalid; the message has file and line.
    """
    values: dict[str, object] = {}
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        field, convert = _KEYS.get(key, ("", None))
        if not equals or convert is None:
            raise GuestError(f"{origin}:{number}: expected KEY=VALUE with one of {', '.join(_KEYS)}, not {line!r}")
        if field in values:
            raise GuestError(f"{origin}:{number}: {key} is given twice")
        try:
            values[field] = convert(value)
        except ValueError as error:
            raise GuestError(f"{origin}:{number}: {key}: {error}") from error
    if "gateway" in values and "address" not in values:
        raise GuestError(f"{origin}: ipv6_gateway is given without ipv6_address")
    return Network(**values)  # type: ignore[arg-type]


def networkd_file(network: Network) -> str:
    """Returns the content of the .network file (systemd.network(5))."""
    lines = ["[Match]", "Type=ether", "", "[Network]", "LinkLocalAddressing=ipv6"]
    if network.address is None:
        lines.append("IPv6AcceptRA=yes")
    else:
        lines += ["IPv6AcceptRA=no", f"Address={network.address.with_prefixlen}"]
    if network.gateway is not None:
        lines.append(f"Gateway={network.gateway}")
    lines += [f"DNS={server}" for server in network.name_servers]
    return "\n".join([*lines, ""])


def _hostname(text: str) -> str:
    if len(text) > _HOST_NAME_MAX or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(f"{text!r} is not a host name")
    return text


def _address(text: str) -> ipaddress.IPv6Interface:
    return ipaddress.IPv6Interface(text if "/" in text else f"{text}/64")


def _name_servers(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...]:
    return tuple(ipaddress.ip_address(word) for word in re.split(r"[\s,]+", text) if word)


_KEYS: dict[str, tuple[str, Callable[[str], object]]] = {
    "hostname": ("hostname", _hostname),
    "ipv6_address": ("address", _address),
    "ipv6_gateway": ("gateway", ipaddress.IPv6Address),
    "name_servers": ("name_servers", _name_servers),
}
