"""What the values of variables must be: functions that return a value as it is used, or raise a ValueError.

The error says what the value must be, as in `a whole number from 1 to 3`.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable

from testnet.inventory.ini import Value

_DEVICE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


def text(value: Value) -> str:
    """Returns a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("a text")
    return value


def absolute_path(value: Value) -> str:
    """Returns the normal form of an absolute path, that is not the root folder."""
    path = os.path.normpath(value) if isinstance(value, str) and value.isprintable() else ""
    if not os.path.isabs(path) or path.strip("/") == "":
        raise ValueError("an absolute path")
    return path


def bridge(value: Value) -> str:
    """Returns the name of a network device (15 characters, linux/if.h)."""
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise ValueError("the name of a network device")
    return value


def one_of(*values: str) -> Callable[[Value], str]:
    """Returns a function that returns one of some texts."""

    def check(value: Value) -> str:
        if value not in values:
            raise ValueError(" or ".join(values))
        return str(value)

    return check


def number(least: int, most: int) -> Callable[[Value], int]:
    """Returns a function that returns a whole number in a range."""

    def check(value: Value) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise ValueError(f"a whole number from {least} to {most}")
        return value

    return check


def equal(expected: int | None) -> Callable[[Value], int | None]:
    """Returns a function that returns what the name of the node says."""

    def check(value: Value) -> int | None:
        if value != expected or isinstance(value, bool):
            raise ValueError(f"{expected}, as the name has it" if expected is not None else "left out here")
        return expected

    return check


def memory(value: Value) -> int:
    """Returns a number of GiB, as MiB."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1 << 20:
        raise ValueError("a positive number of GiB")
    return int(value * 1024)


def truth(value: Value) -> bool:
    """Returns a truth value."""
    if value not in (True, False, "true", "false", "yes", "no"):
        raise ValueError("true or false")
    return value in (True, "true", "yes")


def prefix(value: Value) -> ipaddress.IPv6Network:
    """Returns an IPv6 network of 64 bits."""
    message = "an IPv6 network of 64 bits, such as 2001:db8:1:2::/64"
    try:
        prefix = ipaddress.IPv6Network(str(value) if "/" in str(value) else f"{value}/64")
    except ValueError as error:
        raise ValueError(message) from error
    if prefix.prefixlen != 64:
        raise ValueError(message)
    return prefix


def address(prefix: ipaddress.IPv6Network) -> Callable[[Value], ipaddress.IPv6Interface]:
    """Returns a function that returns an IPv6 address of a network, with the length of its prefix."""

    def check(value: Value) -> ipaddress.IPv6Interface:
        try:
            address = ipaddress.IPv6Address(str(value))
        except ValueError as error:
            raise ValueError("an IPv6 address without the length of a prefix") from error
        if address not in prefix:
            raise ValueError(f"an address of the host's network {prefix}")
        return ipaddress.IPv6Interface(f"{address}/{prefix.prefixlen}")

    return check


def mac_address(value: Value) -> str:
    """Returns the MAC address of one machine."""
    text = str(value).lower()
    if not _MAC.fullmatch(text) or int(text[:2], 16) & 1:
        raise ValueError("the MAC address of one machine, such as 6a:01:00:00:00:01")
    return text
