"""Configures the network by network.conf in the config store.

The file has one `key=value` per line. Empty lines and those that begin with `#` are skipped. A key without a value
counts as not given, and unknown keys are ignored with a warning: the tools that write the file write every key, and
later ones write more.

    hostname       the host name
    ipv6_address   an address, optionally with `/` and the length of its prefix (default: 64)
    ipv6_gateway   the address of the router
    name_servers   addresses of name servers, separated by spaces or commas
    ipv4_address   an address with `/` and the length of its prefix
    ipv4_gateway   the address of the router for IPv4
    domain         the domain name of the node; for the replica, see replica_config.py

Of an older release there may be ipv6_prefixes, which nothing reads. An invalid address or gateway of IPv6 is an error,
since the node registers with that address; another invalid line is ignored with a warning.

Without ipv6_address the address comes from router advertisements. The result is a .network file for systemd-networkd.
"""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from guestos import ignored_settings
from guestos.errors import GuestError

CONFIG = "/boot/config/network.conf"
FOLDER = "/run/systemd/network"
CLASS_NET = "/sys/class/net"

_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_HOST_NAME_MAX = 64
"""The longest host name that Linux supports, in bytes (gethostname(2))."""

_DOMAIN_MAX = 253
"""The longest domain name, in bytes (RFC 1035, section 2.3.4, without length bytes)."""

_MAX_SIZE = 1 << 16
_SHOWN = 60
"""How many characters of an invalid text a message has."""

Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Network:
    """The settings in network.conf.

    Attributes:
        hostname: None to derive one from the address.
        address: None to get one by router advertisements.
        gateway: None to get one by router advertisements.
        name_servers: addresses of name servers.
        ipv4_address: None for none.
        ipv4_gateway: None for none.
        domain: None for none.
    """

    hostname: str | None = None
    address: ipaddress.IPv6Interface | None = None
    gateway: ipaddress.IPv6Address | None = None
    name_servers: tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, ...] = ()
    ipv4_address: ipaddress.IPv4Interface | None = None
    ipv4_gateway: ipaddress.IPv4Address | None = None
    domain: str | None = None


def main() -> int:
    """Reads network.conf and writes the .network file.

    Returns:
        The exit status: 1 if network.conf is invalid, or there is no interface; nothing is written then.
    """
    ignored: list[str] = []
    try:
        network = read(CONFIG, lambda message: print(f"<4>{message}", file=sys.stderr), ignored.append)
        ignored_settings.report("generate-network-config.py", "network", ignored)
        interface = first_interface()
        write(network, interface, FOLDER)
    except GuestError as error:
        print(f"<3>{error}; the network uses router advertisements and DHCP", file=sys.stderr)
        return 1
    return 0


def read(path: str, warn: Warn = lambda _: None, invalid: Warn | None = None) -> Network:
    """Returns the settings in a network.conf.

    Args:
        path: of the file.
        warn: is called with a message about each key that is ignored.
        invalid: is called with a message about each invalid line that is ignored; by default it is an error.

    Raises:
        GuestError: the file cannot be read, or a line is invalid.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_SIZE + 1)
        if len(data) > _MAX_SIZE:
            raise GuestError(f"{path}: has more than {_MAX_SIZE} bytes")
        return parse(data.decode(), path, warn, invalid)
    except UnicodeDecodeError as error:
        raise GuestError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error


def parse(text: str, origin: str, warn: Warn = lambda _: None, invalid: Warn | None = None) -> Network:
    """Returns the settings in the text of a network.conf.

    Args:
        text: the file's content.
        origin: the file's name for messages.
        warn: is called with a message about each key that is ignored.
        invalid: is called with a message about each invalid line that is ignored; by default it is an error.

    Raises:
        GuestError: a line is invalid; the message has file and line.
    """
    values: dict[str, object] = {}
    # As in settings.py: a byte order mark, and CR before LF, are of other systems' editors.
    for number, line in enumerate(map(str.strip, text.removeprefix("\ufeff").split("\n")), 1):
        if not line or line.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        try:
            if not equals:
                raise GuestError(f"{origin}:{number}: expected KEY=VALUE, not {_shown(line)}")
            if key in _KEYS:
                _read_value(values, key, value, f"{origin}:{number}")
            elif key not in _UNREAD:
                warn(f"{origin}:{number}: {_shown(key)} is not known and is ignored")
        except GuestError as error:
            if invalid is None or key in _NEEDED:
                raise
            invalid(str(error))
    _check_gateways(values, origin, invalid)
    return Network(**values)  # type: ignore[arg-type]


def _read_value(values: dict[str, object], key: str, value: str, origin: str) -> None:
    field, convert = _KEYS[key]
    if not value:
        return
    if field in values:
        raise GuestError(f"{origin}: {key} is given twice")
    try:
        values[field] = convert(value)
    except ValueError as error:
        raise GuestError(f"{origin}: {key}: {error}") from error


def _check_gateways(values: dict[str, object], origin: str, invalid: Warn | None) -> None:
    if "gateway" in values and "address" not in values:
        raise GuestError(f"{origin}: ipv6_gateway is given without ipv6_address")
    if "ipv4_gateway" in values and "ipv4_address" not in values:
        message = f"{origin}: ipv4_gateway is given without ipv4_address"
        if invalid is None:
            raise GuestError(message)
        invalid(message)
        del values["ipv4_gateway"]


def first_interface(class_net: str = CLASS_NET) -> str:
    """Returns the name of the first hardware interface, in the order of names.

    Args:
        class_net: sysfs directory with links to the interfaces.

    Raises:
        GuestError: there is none.
    """
    for name in sorted(os.listdir(class_net)) if os.path.isdir(class_net) else []:
        if "/devices/virtual/" not in os.path.realpath(os.path.join(class_net, name)):
            return name
    raise GuestError(f"{class_net}: this machine has no network interface")


def write(network: Network, interface: str, folder: str) -> None:
    """Writes the .network file of an interface, under the name that the release's own tools use.

    Raises:
        GuestError: it cannot be written.
    """
    path = Path(folder, f"10-{interface}.network")
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.write_text(networkd_file(network, interface), encoding="utf-8")
    except OSError as error:
        raise GuestError(f"{path}: cannot be written: {error.strerror}") from error


def networkd_file(network: Network, interface: str) -> str:
    """Returns the content of the .network file of an interface (systemd.network(5))."""
    lines = ["[Match]", f"Name={interface}", "Virtualization=!container", "", "[Network]", "LinkLocalAddressing=ipv6"]
    if network.address is None:
        lines.append("IPv6AcceptRA=yes")
    else:
        lines += ["IPv6AcceptRA=no", f"Address={network.address.with_prefixlen}"]
    if network.gateway is not None:
        lines.append(f"Gateway={network.gateway}")
    if network.ipv4_address is not None:
        lines.append(f"Address={network.ipv4_address.with_prefixlen}")
    if network.ipv4_gateway is not None:
        lines.append(f"Gateway={network.ipv4_gateway}")
    lines += [f"DNS={server}" for server in network.name_servers]
    return "\n".join([*lines, ""])


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _hostname(text: str) -> str:
    if len(text) > _HOST_NAME_MAX or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(f"{_shown(text)} is not a host name")
    return text


def domain(text: str) -> str:
    """Returns a domain name.

    Raises:
        ValueError: it is none.
    """
    if len(text) > _DOMAIN_MAX or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        raise ValueError(f"{_shown(text)} is not a domain name")
    return text


def _checked(text: str, kind: Callable[[str], object], what: str, needed: str = "") -> object:
    # ipaddress accepts a zone, such as fe80::1%eth0, with any characters in it.
    if "%" not in text and needed in text:
        try:
            return kind(text)
        except ValueError:
            pass
    raise ValueError(f"{_shown(text)} is not {what}")


def _address(text: str) -> object:
    what = "an IPv6 address, such as 2001:db8::2/64"
    return _checked(text if "/" in text else f"{text}/64", _ipv6_of_machine, what)


def _ipv6_of_machine(text: str) -> ipaddress.IPv6Interface:
    """Returns an address at which other machines can reach this one."""
    interface = ipaddress.IPv6Interface(text)
    ip = interface.ip
    if ip.is_multicast or ip.is_unspecified or ip.is_loopback or ip.is_link_local:
        raise ValueError
    return interface


def _gateway(text: str) -> object:
    return _checked(text, ipaddress.IPv6Address, "an IPv6 address")


def _ipv4_address(text: str) -> object:
    what = "an IPv4 address with the length of its prefix, such as 192.0.2.2/24"
    return _checked(text, ipaddress.IPv4Interface, what, "/")


def _ipv4_gateway(text: str) -> object:
    return _checked(text, ipaddress.IPv4Address, "an IPv4 address")


def _name_servers(text: str) -> object:
    what = "the address of a name server"
    return tuple(_checked(word, ipaddress.ip_address, what) for word in re.split(r"[\s,]+", text) if word)


_KEYS: dict[str, tuple[str, Callable[[str], object]]] = {
    "hostname": ("hostname", _hostname),
    "ipv6_address": ("address", _address),
    "ipv6_gateway": ("gateway", _gateway),
    "name_servers": ("name_servers", _name_servers),
    "ipv4_address": ("ipv4_address", _ipv4_address),
    "ipv4_gateway": ("ipv4_gateway", _ipv4_gateway),
    "domain": ("domain", domain),
}
"""The keys, the fields of Network that they set, and what checks their values."""

_NEEDED = ("ipv6_address", "ipv6_gateway")
"""Keys whose values are never ignored: without them the machine would have another address than it is to register."""

_UNREAD = ("ipv6_prefixes",)
"""Keys that tools of older releases write, and nothing reads."""
