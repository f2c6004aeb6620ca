"""SELinux labels from a `file_contexts` file.

A line is a regular expression for whole paths, a file type (`--`, `-d`, `-l`, `-c`, `-b`, `-p`, `-s`; all types without
one) and a security context, or `<<none>>` for files that get no label. Lines without special characters, which say one
path, come before all others; among the others the last one that matches decides. The order of a file that a policy's
tools wrote, from the general to the special, makes that the most special one.

Sources: file_contexts(5), selabel_file(5), and the behaviour of selabel_lookup(3) of libselinux.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from tools.core.errors import UserError
from tools.tree import file_pattern
from tools.tree.compare import printable
from tools.tree.node import Directory, Node, walk

XATTR = b"security.selinux"

_NO_LABEL = b"<<none>>"
_CONTEXT = re.compile(rb"[^\s:]+:[^\s:]+:[^\s:]+(:\S+)?")
_TYPES = {
    b"--": stat.S_IFREG,
    b"-d": stat.S_IFDIR,
    b"-l": stat.S_IFLNK,
    b"-c": stat.S_IFCHR,
    b"-b": stat.S_IFBLK,
    b"-p": stat.S_IFIFO,
    b"-s": stat.S_IFSOCK,
}
_ALL = 0
_ORDER = attrgetter("order")


@dataclass(frozen=True, slots=True)
class _Rule:
    """A line: where it stands, its expression, the file type it is for, and the context, None for no label."""

    order: int
    place: str
    text: bytes
    pattern: file_pattern.Pattern
    file_type: int
    context: bytes | None


class FileContexts:
    """The rules of `file_contexts` files, ready to look up many paths.

    Rules are kept by the directory in which all of their matches are. Those of a directory become one regular
    expression for each file type, so that a path costs as many matches as it has directories.
    """

    def __init__(self, rules: Iterable[_Rule], substitutions: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Takes rules in the order of their lines, and pairs of a start of paths and what to look up instead."""
        self._exact: dict[tuple[bytes, int], _Rule] = {}
        self._below: dict[bytes, list[_Rule]] = {}
        self._compiled: dict[tuple[bytes, int], tuple[re.Pattern[bytes], list[_Rule]] | None] = {}
        self._substitutions = sorted(substitutions, key=lambda pair: -len(pair[0]))
        for rule in rules:
            if rule.pattern.literal is not None:
                self._exact[rule.pattern.literal, rule.file_type] = rule
            else:
                self._below.setdefault(rule.pattern.folder, []).append(rule)

    @classmethod
    def read(cls, paths: Sequence[str], substitutions: str | None = None) -> FileContexts:
        """Reads rules from files.

        Args:
            paths: of the files; lines of later files come later, and may say again what earlier files say. libselinux
                takes `file_contexts`, `file_contexts.homedirs` and `file_contexts.local` in this order.
            substitutions: path of a `file_contexts.subs` or `.subs_dist` file, whose lines say which path to look up
                instead of another one and all below it.

        Raises:
            UserError: a file can't be read, or has a bad line; the message names file and line.
        """
        rules: list[_Rule] = []
        for path in paths:
            rules_of_file = list(_rules(path, len(rules)))
            _check_conflicts(rules_of_file)
            rules += rules_of_file
        return cls(rules, _substitutions(substitutions) if substitutions else ())

    def context(self, path: bytes, file_type: int) -> bytes | None:
        """Returns the security context of a path.

        Args:
            path: absolute, in the running system.
            file_type: `stat.S_IFREG` and so on.

        Returns:
            The context without a NUL, None for a file that gets no label.

        Raises:
            UserError: there is no rule for the path.
        """
        for start, instead in self._substitutions:
            if path.startswith(start) and path[len(start) : len(start) + 1] in (b"", b"/"):
                path = instead + path[len(start) :]
                break
        exact = [rule for each in (file_type, _ALL) if (rule := self._exact.get((path, each)))]
        found = exact or list(self._matches(path, file_type))
        if not found:
            raise UserError(f"{printable(path[1:])}: no line of the file contexts is for it; add one, or <<none>>")
        return max(found, key=_ORDER).context

    def _matches(self, path: bytes, file_type: int) -> Iterator[_Rule]:
        """Yields the last rule that matches of each directory that leads to a path."""
        end = path.find(b"/")
        while end >= 0:
            folder = path[:end]
            if folder in self._below:
                compiled = self._compile(folder, file_type)
                match = compiled[0].match(path) if compiled else None
                if compiled and match and match.lastindex:
                    yield compiled[1][match.lastindex - 1]
            end = path.find(b"/", end + 1)

    def _compile(self, folder: bytes, file_type: int) -> tuple[re.Pattern[bytes], list[_Rule]] | None:
        """Returns the rules of a directory for a file type, the last first, and an expression with a group for each."""
        key = (folder, file_type)
        if key not in self._compiled:
            rules = [rule for rule in reversed(self._below[folder]) if rule.file_type in (_ALL, file_type)]
            alternatives = b"|".join(b"(%s)" % rule.pattern.regex for rule in rules)
            try:
                self._compiled[key] = (re.compile(b"^(?:%s)$" % alternatives, re.DOTALL), rules) if rules else None
            except re.error:
                for rule in rules:
                    _check_regex(rule)
                raise
        return self._compiled[key]


def label_tree(root: Directory, contexts: FileContexts, mount_point: bytes = b"/") -> None:
    """Gives every node of a tree, the root too, the label of its path; `<<none>>` leaves what it has.

    Args:
        root: of the tree.
        contexts: the rules.
        mount_point: where the tree stands in the running system: a tree of a boot partition at `/boot` is labelled as
            `/boot` and what is below.

    Raises:
        UserError: there is no rule for a path, or the names of a hard link ask for different labels.
    """
    start = mount_point.rstrip(b"/")
    labelled: dict[Node, tuple[bytes, bytes | None]] = {}
    for path, node in walk(root):
        full = start + b"/" + path if path else start or b"/"
        context = contexts.context(full, node.file_type)
        if not isinstance(node, Directory):
            first, other = labelled.setdefault(node, (full, context))
            if other != context:
                labels = " and ".join((label or _NO_LABEL).decode(errors="replace") for label in (other, context))
                names = f"{printable(first[1:])} and {printable(full[1:])}"
                raise UserError(f"{names}: are one file (a hard link), and the file contexts give it {labels}")
        if context is not None:
            node.xattrs[XATTR] = context + b"\0"  # with the NUL, as libselinux sets it


def _lines(path: str) -> Iterator[tuple[str, list[bytes]]]:
    """Yields the lines of a file that are no comments, as the place for messages and the fields."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(data.split(b"\n"), 1):
        fields = line.split()
        if fields and not fields[0].startswith(b"#"):
            yield f"{path}:{number}", fields


def _rules(path: str, first: int) -> Iterator[_Rule]:
    """Yields the rules of a file, numbered from `first` on."""
    for order, (place, fields) in enumerate(_lines(path), first):
        if len(fields) not in (2, 3):
            raise UserError(f"{place}: has {len(fields)} fields; it must be a path, maybe a file type, and a context")
        file_type = _TYPES.get(fields[1]) if len(fields) == 3 else _ALL
        if file_type is None:
            types = ", ".join(name.decode() for name in _TYPES)
            raise UserError(f"{place}: {fields[1].decode(errors='replace')!r} is no file type; use one of {types}")
        context = None if fields[-1] == _NO_LABEL else fields[-1]
        if context is not None and not _CONTEXT.fullmatch(context):
            raise UserError(
                f"{place}: {context.decode(errors='replace')!r} is no security context (user:role:type:range)"
            )
        try:
            pattern = file_pattern.parse(fields[0])
        except ValueError as error:
            raise _bad_regex(place, fields[0], error) from error
        yield _Rule(order, place, fields[0], pattern, file_type, context)


def _bad_regex(place: str, text: bytes, error: Exception) -> UserError:
    return UserError(f"{place}: {text.decode(errors='backslashreplace')!r} is no usable regular expression: {error}")


def _check_regex(rule: _Rule) -> None:
    try:
        re.compile(rule.pattern.regex, re.DOTALL)
    except re.error as error:
        raise _bad_regex(rule.place, rule.text, error) from error


def _check_conflicts(rules: Iterable[_Rule]) -> None:
    """Checks that no two lines of a file with the same expression give a path different contexts.

    Raises:
        UserError: two lines do; libselinux calls that an error too, when it validates.
    """
    seen: dict[bytes, list[_Rule]] = {}
    for rule in rules:
        same = seen.setdefault(rule.text, [])
        for other in same:
            if rule.context != other.context and (
                rule.file_type == other.file_type or _ALL in (rule.file_type, other.file_type)
            ):
                what = rule.text.decode(errors="backslashreplace")
                raise UserError(f"{rule.place}: gives {what} another context than {other.place} does; remove one")
        same.append(rule)


def _substitutions(path: str) -> Iterator[tuple[bytes, bytes]]:
    for place, fields in _lines(path):
        if len(fields) != 2 or not all(field.startswith(b"/") for field in fields):
            raise UserError(f"{place}: must be two absolute paths: one, and the one to look up instead")
        yield fields[0].rstrip(b"/"), fields[1].rstrip(b"/")
