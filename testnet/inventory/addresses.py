"""The addresses of nodes whose inventory says none: made of names, so that they are the same wherever it is read."""

from __future__ import annotations

import hashlib
import ipaddress


def local_prefix(deployment: str) -> ipaddress.IPv6Network:
    """Returns the network of a deployment that says none: a unique local one (RFC 4193), made of its name."""
    digest = hashlib.sha256(f"testnet {deployment}".encode()).digest()
    return ipaddress.IPv6Network((b"\xfd" + digest[:7] + bytes(8), 64))


def mac_address(deployment: str, node: str) -> str:
    """Returns the locally administered MAC address of a node that says none, made of its name."""
    digest = hashlib.sha256(f"testnet {deployment} {node}".encode()).digest()
    return ":".join(f"{byte:02x}" for byte in b"\x6a\x01" + digest[:4])


def slaac(prefix: ipaddress.IPv6Network, mac: str) -> ipaddress.IPv6Address:
    """Returns the address that a machine makes of a prefix and its MAC address (RFC 4291, appendix A)."""
    octets = bytes.fromhex(mac.replace(":", ""))
    identifier = bytes([octets[0] ^ 2]) + octets[1:3] + b"\xff\xfe" + octets[3:]
    return ipaddress.IPv6Address(prefix.network_address.packed[:8] + identifier)
