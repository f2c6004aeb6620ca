"""Parses sysusers.d files, which list the accounts and groups of a system.

Format: sysusers.d(5); supported are lines of the types `u`, `u!`, `g` and `m`, with numeric IDs:

    u  name  uid[:gid or group]  "description"  home  shell
    g  name  gid
    m  user  group

Numeric IDs are required, since one that systemd allocates at boot could change from image to image. A percent sign is
written as `%%`; other specifiers, such as the host's name, are refused, since the build doesn't know their values.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TypeVar

from tools.core.errors import UserError

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,30}")
_LARGEST_ID = 0xFFFFFFFE
_NO_ID = 0xFFFF
"""-1 in 16 bits, which means no ID; systemd refuses it, too."""

_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class User:
    """A user account.

    Attributes:
        name: login name.
        uid: user ID.
        group: name or ID of the primary group.
        description: free text (the GECOS field); empty if the line has none.
        home: home directory; empty if the line has none.
        shell: login shell; empty if the line has none.
    """

    name: str
    uid: int
    group: str
    description: str
    home: str
    shell: str


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts and groups of a sysusers.d file.

    Attributes:
        users: users by name.
        groups: group IDs by name.
        members: (user, group) pairs.
    """

    users: dict[str, User]
    groups: dict[str, int]
    members: tuple[tuple[str, str], ...]


def parse_sysusers(text: str, origin: str) -> Accounts:
    """Parses a sysusers.d file.

    Args:
        text: content of the file.
        origin: name of the file in messages.

    Raises:
        UserError: a line is invalid or of an unsupported type; the message has file and line.
    """
    users: dict[str, User] = {}
    groups: dict[str, int] = {}
    members: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            words = ["" if word == "-" else _expanded(word) for word in shlex.split(line)]
            match words[0]:
                case "u" | "u!":
                    user, own_group = _user(words)
                    _add(users, user.name, user)
                    if own_group is not None:
                        _add(groups, user.name, own_group)
                case "g":
                    _check_no_more(words)
                    _add(groups, _name(words[1]), _number(words[2]))
                case "m":
                    _check_no_more(words)
                    members.append((_name(words[1]), _name(words[2])))
                case other:
                    raise ValueError(f"lines of type {other!r} are not supported; only u, g and m are")
        except ValueError as error:
            raise UserError(f"{origin}:{number}: {error}") from error
    return Accounts(users, groups, tuple(members))


def _user(words: list[str]) -> tuple[User, int | None]:
    """Parses a line of type `u`; returns the user, and the ID of the group with the same name if the line adds one."""
    _check_length(words, 6)
    _, name, numbers, description, home, shell = words + [""] * (6 - len(words))
    uid_text, colon, group = numbers.partition(":")
    uid = _number(uid_text)
    if ":" in description or "\n" in description:
        raise ValueError("a description cannot have a colon")
    user = User(_name(name), uid, group if colon else name, description, home, shell)
    return user, None if colon else uid


def _check_length(words: list[str], most: int) -> None:
    if not 3 <= len(words) <= most:
        raise ValueError(f"{len(words)} fields instead of 3 to {most}")


def _check_no_more(words: list[str]) -> None:
    """Checks the fields of a line of type `g` or `m`, whose description, home and shell must be empty."""
    _check_length(words, 6)
    if any(words[3:]):
        raise ValueError(f"a line of type {words[0]} has no description, home or shell; write - or nothing")


def _expanded(word: str) -> str:
    """Returns a word with `%%` replaced by a percent sign."""
    if "%" in word.replace("%%", ""):
        raise ValueError(f"{word!r} has a specifier, whose value the build doesn't know; write %% for a percent sign")
    return word.replace("%%", "%")


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} is not a name for a user or a group")
    return text


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text) or int(text) > _LARGEST_ID or int(text) == _NO_ID:
        raise ValueError(f"{text[:40]!r} is not a numeric user or group ID, which is required")
    return int(text)


def _add(table: dict[str, _Value], name: str, value: _Value) -> None:
    if table.setdefault(name, value) != value:
        raise ValueError(f"{name} occurs twice with different values")
