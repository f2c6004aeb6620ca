"""Finds files and directories with special rights: setuid, setgid, writable for all, capabilities."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tools.tree.node import Directory, Node, Symlink

CAPABILITY_XATTR = b"security.capability"

# linux/capability.h, in the order of their numbers.
_CAPABILITIES = (
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
)

_EFFECTIVE = 1  # VFS_CAP_FLAGS_EFFECTIVE
_WORDS = {1: 1, 2: 2, 3: 2}  # pairs of permitted and inheritable, by VFS_CAP_REVISION


def special_rights(node: Node) -> Iterator[str]:
    """Yields the special rights of a node: `setuid`, `setgid`, `world-writable`, and capabilities."""
    if isinstance(node, Symlink):
        return
    if node.permissions & 0o4000:
        yield "setuid"
    if node.permissions & 0o2000 and not isinstance(node, Directory):
        yield "setgid"
    if node.permissions & 0o002:
        sticky = isinstance(node, Directory) and node.permissions & 0o1000
        yield "world-writable, sticky" if sticky else "world-writable"
    if CAPABILITY_XATTR in node.xattrs:
        yield from capabilities(node.xattrs[CAPABILITY_XATTR])


def capabilities(value: bytes) -> Iterator[str]:
    """Yields the capabilities in the value of the attribute `security.capability`, such as `cap_net_raw=ep`.

    The letters are those of cap_to_text(3): effective, inheritable, permitted. See struct vfs_ns_cap_data in
    linux/capability.h.
    """
    revision = value[3] if len(value) >= 4 else 0
    words = _WORDS.get(revision, 0)
    if not words or len(value) < 4 + 8 * words:
        yield f"capabilities that cannot be read: {value.hex()}"
        return
    effective = value[0] & _EFFECTIVE
    pairs = list(struct.iter_unpack("<II", value[4 : 4 + 8 * words]))
    permitted, inheritable = (sum(pair[which] << (32 * at) for at, pair in enumerate(pairs)) for which in (0, 1))
    for number in range(32 * words):
        letters = "ei" if effective and inheritable >> number & 1 else "i" if inheritable >> number & 1 else ""
        if permitted >> number & 1:
            letters = ("e" if effective else "") + letters.replace("e", "") + "p"
        if letters:
            name = _CAPABILITIES[number] if number < len(_CAPABILITIES) else str(number)
            yield f"cap_{name}={letters}"
