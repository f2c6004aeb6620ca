"""Adds accounts to the contents of /etc/passwd, group, shadow and gshadow.

Formats: passwd(5), group(5), shadow(5), gshadow(5). Existing lines stay in their order; new ones are appended. As with
systemd-sysusers(8), an existing account stays as it is. Only a line that gives description, home and shell, all three,
changes these and the account's group, which systemd-sysusers doesn't do. Another ID is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.rootfs.sysusers import Accounts, User

_NOLOGIN = "/usr/sbin/nologin"
_ROOT_SHELL = "/bin/sh"
_IN_SHADOW = "x"
"""The password field of a line in passwd whose password is in shadow (passwd(5))."""

LOCKED = "!*"
"""A password field that matches no password (shadow(5)); logins with SSH keys are still possible."""


@dataclass(frozen=True, slots=True)
class Databases:
    """The contents of the four files."""

    passwd: str
    group: str
    shadow: str
    gshadow: str


class _Table:
    """One of the files: rows of fields, by their first field."""

    def __init__(self, text: str, name: str, fields: int) -> None:
        self.name = name
        self._rows: dict[str, list[str]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            row = line.split(":")
            if len(row) != fields or row[0] in self._rows:
                raise UserError(f"/etc/{name}:{number}: has not {fields} fields, or a repeated name")
            self._rows[row[0]] = row

    def __contains__(self, name: str) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> list[str]:
        return self._rows[name]

    def add(self, *row: str) -> None:
        """Adds a row, or replaces the one with the same name."""
        self._rows[row[0]] = list(row)

    def names(self) -> list[str]:
        """Returns the first fields of all rows, in order."""
        return list(self._rows)

    def with_number(self, number: int) -> str | None:
        """Returns the name of the row with the ID `number` in its third field, or None."""
        return next((name for name, row in self._rows.items() if row[2] == str(number)), None)

    def text(self) -> str:
        return "".join(":".join(row) + "\n" for row in self._rows.values())


def merge(databases: Databases, accounts: Accounts, passwords: Mapping[str, str], origin: str) -> Databases:
    """Returns the contents with accounts added.

    Each account without a line in shadow, and each group without one in gshadow, gets one with a locked password. The
    line in passwd of an account of `passwords` says that its password is in shadow.

    Args:
        databases: the contents before.
        accounts: the accounts and groups to add.
        passwords: password hash, or LOCKED, by name of an existing or new account.
        origin: name of the source of the accounts in messages.

    Raises:
        UserError: an ID or name is in use, a group or account does not exist, or a content is invalid.
    """
    merger = _Merger(databases, origin)
    for name, gid in accounts.groups.items():
        merger.add_group(name, gid)
    for user in accounts.users.values():
        merger.add_user(user)
    for user_name, group in accounts.members:
        merger.add_member(user_name, group)
    merger.complete_shadow(passwords)
    return Databases(*(table.text() for table in (merger.passwd, merger.group, merger.shadow, merger.gshadow)))


class _Merger:
    def __init__(self, databases: Databases, origin: str) -> None:
        self.passwd = _Table(databases.passwd, "passwd", 7)
        self.group = _Table(databases.group, "group", 4)
        self.shadow = _Table(databases.shadow, "shadow", 9)
        self.gshadow = _Table(databases.gshadow, "gshadow", 4)
        self._origin = origin

    def _check_number(self, table: _Table, name: str, number: int) -> bool:
        """Returns whether a row with this name and ID exists; raises a `UserError` if only one of the two matches."""
        holder = table.with_number(number)
        if name in table and table[name][2] != str(number):
            raise UserError(f"{self._origin}: {name} is {table[name][2]} in /etc/{table.name} and cannot be {number}")
        if holder not in (None, name):
            raise UserError(f"{self._origin}: {holder} is {number} in /etc/{table.name}; {name} needs another number")
        return holder is not None

    def add_group(self, name: str, gid: int) -> None:
        if not self._check_number(self.group, name, gid):
            self.group.add(name, "x", str(gid), "")

    def add_user(self, user: User) -> None:
        exists = self._check_number(self.passwd, user.name, user.uid)
        if exists and not (user.description and user.home and user.shell):
            return
        gid = self._gid(user.group)
        shell = user.shell or (_NOLOGIN if user.uid else _ROOT_SHELL)
        self.passwd.add(user.name, _IN_SHADOW, str(user.uid), gid, user.description, user.home or "/", shell)

    def _gid(self, name: str) -> str:
        """Returns the ID of a group that is given by its name or ID."""
        if re.fullmatch("[0-9]{1,10}", name):
            if self.group.with_number(int(name)) is None:
                raise UserError(f"{self._origin}: there is no group {name}; add it with a line 'g NAME {name}'")
            return name
        if name not in self.group:
            raise UserError(f"{self._origin}: group {name} does not exist")
        return self.group[name][2]

    def add_member(self, user: str, group: str) -> None:
        self._gid(group)
        if user not in self.passwd:
            raise UserError(f"{self._origin}: account {user}, a member of the group {group}, does not exist")
        for table in (self.group, self.gshadow):
            if group in table:
                members = [name for name in table[group][3].split(",") if name]
                table[group][3] = ",".join(_once([*members, user]))

    def complete_shadow(self, passwords: Mapping[str, str]) -> None:
        for name in passwords:
            if name not in self.passwd:
                raise UserError(
                    f"{self._origin}: {name} has a password, but there is no such account; create it by sysusers"
                )
        for name in self.passwd.names():
            if name not in self.shadow:
                self.shadow.add(name, LOCKED, *[""] * 7)
            if name in passwords:
                # Without the package passwd, those of Debian's base-passwd have "*": no password, whatever shadow has.
                self.passwd[name][1] = _IN_SHADOW
                self.shadow[name][1] = passwords[name]
        for name in self.group.names():
            if name not in self.gshadow:
                self.gshadow.add(name, LOCKED, "", self.group[name][3])


def _once(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
