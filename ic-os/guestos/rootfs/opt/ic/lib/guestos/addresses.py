"""Finds the IPv6 address of this machine by what the kernel lists in /proc/net/if_inet6."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

IF_INET6 = "/proc/net/if_inet6"
CLASS_NET = "/sys/class/net"

_GLOBAL = 0x00
_SITE = 0x40
"""Scopes of addresses; a network of QEMU's has site-local ones (fec0::/10), deprecated by RFC 3879."""

_TEMPORARY = 0x01
_DAD_FAILED = 0x08
_DEPRECATED = 0x20
_TENTATIVE = 0x40
_UNUSABLE = _TEMPORARY | _DAD_FAILED | _DEPRECATED | _TENTATIVE
"""Flags of addresses that are no lasting address of this machine (IFA_F_… of linux/if_addr.h)."""


def own_address(if_inet6: str = IF_INET6, class_net: str = CLASS_NET) -> ipaddress.IPv6Address | None:
    """Returns the first lasting address of a hardware interface; None if there is none yet.

    Global addresses come before site-local ones, then interfaces are in the order of their names.

    Args:
        if_inet6: the kernel's list: address, index, length of the prefix, scope, flags (all in hex), interface.
        class_net: sysfs directory with the interfaces; hardware ones have the entry `device`.
    """
    try:
        rows = [line.split() for line in Path(if_inet6).read_text(encoding="ascii").splitlines()]
    except FileNotFoundError:  # a kernel without IPv6
        return None
    found = [
        (scope, name, ipaddress.IPv6Address(bytes.fromhex(address)))
        for address, _, _, scope, flags, name in rows
        if int(scope, 16) in (_GLOBAL, _SITE)
        and not int(flags, 16) & _UNUSABLE
        and os.path.exists(os.path.join(class_net, name, "device"))
    ]
    # The kernel's order of the addresses of one interface is kept.
    return min(found, key=lambda row: row[:2])[2] if found else None
