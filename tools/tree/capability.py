"""File capabilities: from the text of setcap(8) to the value of the attribute `security.capability`.

The text is that of cap_from_text(3), such as `cap_net_raw,cap_net_admin=ep`, and optionally `[rootid=UID]` after it, as
`getcap -n` prints it: the user who is root in the user namespace where the capabilities count. The value is a
`vfs_cap_data` (version 2) or, with a root user, a `vfs_ns_cap_data` (version 3) of Linux's
include/uapi/linux/capability.h; numbers of capabilities are from there, too.
"""

from __future__ import annotations

import re
import struct

NAME = b"security.capability"
"""The full name of the attribute."""

CAPABILITIES = (
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
)
"""The names of capabilities; the index is the number."""

_VERSION_2, _VERSION_3 = 0x02000000, 0x03000000
_EFFECTIVE = 1
_ROOT_ID = re.compile(r"\s*\[rootid=([0-9]{1,10})\]\s*")
_CLAUSE = re.compile(r"([^=+-]*)([=+-][a-z]*)((?:[+-][a-z]*)*)")
_ACTION = re.compile("([=+-])([a-z]*)")
_WORD = 0xFFFFFFFF
_MAX_ID = _WORD - 1


def from_text(text: str) -> bytes:
    """Returns the value of the attribute for capabilities in text form.

    Raises:
        ValueError: the text is invalid, gives nothing, or makes only some of the capabilities effective.
    """
    match = _ROOT_ID.search(text)
    clauses = text[: match.start()] if match and match.end() == len(text) else text
    sets = dict.fromkeys("eip", 0)
    for clause in clauses.split():
        _apply(sets, clause)
    any_set = sets["p"] | sets["i"]
    if not any_set:
        raise ValueError("gives no permitted or inheritable capability; write such as cap_net_raw=ep")
    if sets["e"] and sets["e"] != any_set:
        raise ValueError(
            "makes only some capabilities effective; give e to all or none, since a file has one flag for it"
        )
    effective = _EFFECTIVE if sets["e"] else 0
    words = [word for shift in (0, 32) for word in (sets["p"] >> shift & _WORD, sets["i"] >> shift & _WORD)]
    if clauses is text:
        return struct.pack("<5I", _VERSION_2 | effective, *words)
    assert match is not None
    root = int(match[1])
    if not 0 < root <= _MAX_ID:
        raise ValueError(f"has the rootid {root}, not a user ID from 1 to {_MAX_ID}; leave it out for root itself")
    return struct.pack("<6I", _VERSION_3 | effective, *words, root)


def _apply(sets: dict[str, int], clause: str) -> None:
    """Applies a clause, such as `cap_net_raw,cap_chown=ip+e`, to the three sets of capabilities."""
    match = _CLAUSE.fullmatch(clause)
    if not match:
        raise ValueError(f"has {clause[:60]!r} where names, an operator (=, + or -) and flags (e, i, p) belong")
    names, actions = match[1], _ACTION.findall(match[2] + match[3])
    if not names and (actions[0][0] != "=" or len(actions) > 1):
        raise ValueError(f"has no capability before {clause[:60]!r}; name one, or write all")
    mask = _mask(names or "all")
    for operator, flags in actions:
        if wrong := set(flags) - set(sets):
            raise ValueError(f"has the flag {min(wrong)!r} in {clause[:60]!r}; flags are e, i and p")
        if operator == "=":
            for name in sets:
                sets[name] &= ~mask
        elif not flags:
            raise ValueError(f"has no flag after {operator} in {clause[:60]!r}; flags are e, i and p")
        for name in flags:
            sets[name] = sets[name] & ~mask if operator == "-" else sets[name] | mask


def _mask(names: str) -> int:
    """Returns the set of capabilities in a list of names, or `all`."""
    mask = 0
    for name in names.lower().split(","):
        if name == "all":
            mask |= (1 << len(CAPABILITIES)) - 1
        elif name in CAPABILITIES:
            mask |= 1 << CAPABILITIES.index(name)
        else:
            import difflib  # noqa: PLC0415 - every command would start later, and only this error needs it

            close = difflib.get_close_matches(name, CAPABILITIES, 1)
            hint = f"did you mean {close[0]}?" if close else "see capabilities(7)"
            raise ValueError(f"has the unknown capability {name[:40]!r}; {hint}")
    return mask
