"""Sets the host name by network.conf in the config store.

Without `hostname` there, the name is derived from the IPv6 address: of network.conf, or the one that the command line
has. /etc/hostname, which is on the read-only root, gets the name by a bind mount.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from guestos import network
from guestos.errors import GuestError

TARGET = "/etc/hostname"
FILE = "/run/ic-node/etc/hostname"


def main(arguments: Sequence[str] | None = None) -> int:
    """Sets the host name.

    Args:
        arguments: the command line without the program: at most an IPv6 address that the machine got by itself.

    Returns:
        The exit status: 0 also if nothing says what the name is.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if len(given) > 1:
            raise GuestError("usage: setup-hostname.sh [IPV6_ADDRESS]")
        name = chosen(network.CONFIG, given[0] if given else None)
        if name is not None:
            set_name(name, TARGET, FILE)
    except GuestError as error:
        print(f"<3>setup-hostname.sh: error: {error}", file=sys.stderr)
        return 1
    return 0


def chosen(config: str, own_address: str | None) -> str | None:
    """Returns the host name; None if there is no network.conf, or it has neither a name nor an address.

    Args:
        config: path of network.conf.
        own_address: an IPv6 address that the machine got by itself, or None.

    Raises:
        GuestError: network.conf is invalid, or own_address is not an IPv6 address.
    """
    if not os.path.exists(config):
        return None
    # generate-network-config.service reports what is ignored.
    settings = network.read(config, invalid=lambda _: None)
    if settings.hostname is not None:
        return settings.hostname
    if settings.address is not None:
        return derived(settings.address.ip)
    if own_address is None:
        return None
    try:
        return derived(ipaddress.IPv6Address(own_address))
    except ValueError as error:
        raise GuestError(f"{own_address!r} is not an IPv6 address") from error


def derived(address: ipaddress.IPv6Address) -> str:
    """Returns the host name that stands for an address: `ip6` and the address, with `x` for `::` and `-` for `:`."""
    text = str(ipaddress.IPv6Address(int(address)))  # without a zone
    return f"ip6{text.replace('::', 'x').replace(':', '-')}"


def set_name(name: str, target: str, file: str, set_kernel_name: Callable[[str], None] = socket.sethostname) -> None:
    """Sets the kernel's host name, and the content of /etc/hostname.

    Args:
        name: the host name.
        target: path of /etc/hostname.
        file: the file that is mounted there.
        set_kernel_name: sets the kernel's host name.

    Raises:
        GuestError: a file cannot be written or mounted.
    """
    try:
        Path(file).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Not by a rename: the mount would go on showing the old file.
        Path(file).write_text(f"{name}\n", encoding="ascii")
        if not os.path.samefile(file, target):
            subprocess.run(["/usr/bin/mount", "--bind", file, target], check=True, capture_output=True, text=True)
        set_kernel_name(name)
    except OSError as error:
        raise GuestError(f"{error.filename or target}: cannot be written: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        raise GuestError(f"{target}: cannot be mounted: {error.stderr.strip()}") from error
