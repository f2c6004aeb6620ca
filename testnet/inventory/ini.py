"""Reads the INI form of Ansible's inventories, strictly.

    [GROUP]             hosts, one a line: NAME [KEY=VALUE]...
    [GROUP:children]    groups, one a line
    [GROUP:vars]        KEY=VALUE, one a line

`#` and `;` begin a comment at the start of a line, `#` also after a blank. A value may be quoted. It is a number or a
truth value where it is one in Python, else text, as Ansible reads it. Ranges of names (`node[1:3]`) and hosts outside
of a group are errors here. Format: Ansible documentation, "How to build your inventory", and the plugin
`ansible.builtin.ini`.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from tools.core.errors import UserError

Value = str | int | float | bool

_SECTION = re.compile(r"\[([A-Za-z_][A-Za-z0-9_-]*)(?::([a-z]+))?\]")
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with its place in the file."""

    value: Value
    line: int


@dataclass(slots=True)
class Entry:
    """A line that names a host or a group."""

    name: str
    line: int
    variables: dict[str, Variable] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """What the sections of a group say.

    Attributes:
        line: of the first section.
        hosts: of `[GROUP]`; None if there is no such section.
        children: of `[GROUP:children]`; None if there is no such section.
        variables: of `[GROUP:vars]`.
    """

    line: int
    hosts: list[Entry] | None = None
    children: list[Entry] | None = None
    variables: dict[str, Variable] = field(default_factory=dict)


def parse(text: str, origin: str) -> dict[str, Group]:
    """Returns the groups of an inventory, in their order.

    Args:
        text: content of the file.
        origin: its name for messages.

    Raises:
        UserError: a line is invalid; the message begins with file and line.
    """
    groups: dict[str, Group] = {}
    section: tuple[Group, str] | None = None
    for number, line in _lines(text):
        try:
            if line.startswith("["):
                section = _section(line, number, groups)
            elif section is None:
                raise UserError(f"{line[:40]!r} is in no section; begin with a line such as [nns]")
            else:
                _add(line, number, *section)
        except UserError as error:
            raise UserError(f"{origin}:{number}: {error}") from error
    return groups


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped and not stripped.startswith(("#", ";")):
            yield number, stripped


def _section(line: str, number: int, groups: dict[str, Group]) -> tuple[Group, str]:
    head = line.partition(" #")[0].strip()
    match = _SECTION.fullmatch(head)
    if match is None or match[2] not in (None, "children", "vars"):
        raise UserError(f"{head[:60]!r} is not a section: write [GROUP], [GROUP:children] or [GROUP:vars]")
    group = groups.setdefault(match[1], Group(number))
    kind = match[2] or "hosts"
    if kind == "hosts":
        group.hosts = [] if group.hosts is None else _repeated(head)
    elif kind == "children":
        group.children = [] if group.children is None else _repeated(head)
    elif group.variables:
        _repeated(head)
    return group, kind


def _repeated(head: str) -> list[Entry]:
    raise UserError(f"the section {head} is there already; write its lines in one place")


def _add(line: str, number: int, group: Group, kind: str) -> None:
    if kind == "vars":
        key, equals, rest = line.partition("=")
        if not equals:
            raise UserError(f"expected KEY=VALUE, not {line[:40]!r}")
        words = _words(rest.strip())
        if len(words) > 1:
            raise UserError(f"{key.strip()}: the value has a blank; put it in quotes")
        _put(
            group.variables,
            key.strip(),
            words[0] if words else "",
            number,
            quoted=rest.strip()[:1] in "'\"" or not words,
        )
        return
    name, *assignments = _words(line)
    if not _NAME.fullmatch(name):
        raise UserError(f"{name[:60]!r} is not a name: letters, digits, `.`, `-` and `_`, without ranges")
    entry = Entry(name, number)
    if kind == "children":
        if assignments:
            raise UserError(f"{name}: a group has no variables here; write [{name}:vars]")
        assert group.children is not None
        group.children.append(entry)
        return
    for word in assignments:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"{name}: expected KEY=VALUE, not {word[:40]!r}")
        _put(entry.variables, key, value, number, quoted=False)
    assert group.hosts is not None
    group.hosts.append(entry)


def _words(text: str) -> list[str]:
    """Splits a line as a shell does; `#` after a blank begins a comment."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=False)
    reader.whitespace_split = True
    reader.commenters = ""
    reader.escape = ""
    try:
        words = list(reader)
    except ValueError as error:
        raise UserError("a quote is not closed") from error
    comment = next((index for index, word in enumerate(words) if word.startswith("#")), None)
    return words[:comment]


def _put(variables: dict[str, Variable], key: str, value: str, line: int, *, quoted: bool) -> None:
    if not _KEY.fullmatch(key):
        raise UserError(f"{key[:40]!r} is not the name of a variable")
    if key in variables:
        raise UserError(f"{key} is given twice, at first in line {variables[key].line}")
    variables[key] = Variable(value if quoted else literal(value), line)


def literal(text: str) -> Value:
    """Returns the number or truth value that a text is in Python, else the text."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if isinstance(value, bool | int | float) else text
