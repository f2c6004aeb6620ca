"""Sets SELinux labels according to `file_contexts` files.

A line has a regular expression for whole paths, an optional file type (`--`, `-d`, `-l`, `-c`, `-b`, `-p`, `-s`) and a
security context, or `<<none>>` for files without label. A line without special characters, for a single path, has
precedence; otherwise the last matching line counts. Policy tools sort the lines from general to specific.

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
    """A line of a `file_contexts` file.

    Attributes:
        order: number of the line in all files.
        place: file and line for messages.
        text: its regular expression.
        pattern: the translated expression.
        file_type: the file type it is for (`stat.S_IFREG`, …), or 0 for all.
        context: the security context, or None for no label.
    """

    order: int
    place: str
    text: bytes
    pattern: file_pattern.Pattern
    file_type: int
    context: bytes | None


class FileContexts:
    """The rules of `file_contexts` files, with an index for fast lookup.

    Rules are grouped by the directory that contains all their matches. The rules of a directory are combined into one
    regular expression for each file type, so that a lookup needs one match for each directory above the path.
    """

    def __init__(self, rules: Iterable[_Rule], substitutions: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Creates the index.

        Args:
            rules: the rules, in the order of their lines.
            substitutions: (prefix of paths, replacement) pairs.
        """
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
            paths: paths of the files, in ascending precedence. libselinux reads `file_contexts`,
                `file_contexts.homedirs` and `file_contexts.local`, in this order.
            substitutions: path of a `file_contexts.subs` or `.subs_dist` file, whose lines are a prefix of paths and
                its replacement for the lookup.

        Raises:
            UserError: a file can't be read, or has an invalid line; the message has file and line.
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
            path: absolute path in the running system.
            file_type: `stat.S_IFREG`, …

        Returns:
            The context without a NUL, or None for a file without label.

        Raises:
            UserError: no rule matches the path.
        """
        for start, instead in self._substitutions:
            if path.startswith(start) and path[len(start) : len(start) + 1] in (b"", b"/"):
                path = instead + path[len(start) :]
                break
        exact = [rule for each in (file_type, _ALL) if (rule := self._exact.get((path, each)))]
        found = exact or list(self._matches(path, file_type))
        if not found:
            raise UserError(f"{printable(path[1:])}: no line of the file contexts matches it; add one, or <<none>>")
        return max(found, key=_ORDER).context

    def _matches(self, path: bytes, file_type: int) -> Iterator[_Rule]:
        """Yields, for each directory above a path, the last of its rules that matches."""
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
        """Returns the rules of a directory and file type in reverse order, and an expression with a group for each."""
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
    """Sets the label of every node of a tree, including the root; with `<<none>>` a node keeps its label.

    Args:
        root: root of the tree.
        contexts: the rules.
        mount_point: mount point of the tree in the running system, such as `/boot` for a boot partition; paths are
            looked up below it.

    Raises:
        UserError: no rule matches a path, or the names of a hard link have different labels.
    """
    start = mount_point.rstrip(b"/")
    labelled: dict[Node, tuple[bytes, bytes | None]] = {}
    same: dict[bytes, dict[bytes, bytes]] = {}
    for path, node in walk(root):
        full = start + b"/" + path if path else start or b"/"
        context = contexts.context(full, node.file_type)
        if not isinstance(node, Directory):
            first, other = labelled.setdefault(node, (full, context))
            if other != context:
                labels = " and ".join((label or _NO_LABEL).decode(errors="replace") for label in (other, context))
                names = f"{printable(first[1:])} and {printable(full[1:])}"
                raise UserError(f"{names}: are hard links to one file, but the file contexts have the labels {labels}")
        if context is not None:
            label = {XATTR: context + b"\0"}  # with the NUL, as libselinux sets it
            node.xattrs = {**node.xattrs, **label} if node.xattrs else same.setdefault(context, label)


def _lines(path: str) -> Iterator[tuple[str, list[bytes]]]:
    """Yields (file and line for messages, fields) for the lines of a file, without comments and empty lines."""
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
            raise UserError(
                f"{place}: has {len(fields)} fields; needed are a path, an optional file type, and a context"
            )
        file_type = _TYPES.get(fields[1]) if len(fields) == 3 else _ALL
        if file_type is None:
            types = ", ".join(name.decode() for name in _TYPES)
            raise UserError(f"{place}: {fields[1].decode(errors='replace')!r} is not a file type; use one of {types}")
        context = None if fields[-1] == _NO_LABEL else fields[-1]
        if context is not None and not _CONTEXT.fullmatch(context):
            raise UserError(
                f"{place}: {context.decode(errors='replace')!r} is not a security context (user:role:type:range)"
            )
        try:
            pattern = file_pattern.parse(fields[0])
        except ValueError as error:
            raise _bad_regex(place, fields[0], error) from error
        yield _Rule(order, place, fields[0], pattern, file_type, context)


def _bad_regex(place: str, text: bytes, error: Exception) -> UserError:
    return UserError(f"{place}: {text.decode(errors='backslashreplace')!r} is not a supported expression: {error}")


def _check_regex(rule: _Rule) -> None:
    try:
        re.compile(rule.pattern.regex, re.DOTALL)
    except re.error as error:
        raise _bad_regex(rule.place, rule.text, error) from error


def _check_conflicts(rules: Iterable[_Rule]) -> None:
    """Checks that lines of a file with the same expression and an overlapping file type have the same context.

    Raises:
        UserError: two lines differ; libselinux in validation mode treats this as an error, too.
    """
    seen: dict[bytes, list[_Rule]] = {}
    for rule in rules:
        same = seen.setdefault(rule.text, [])
        for other in same:
            if rule.context != other.context and (
                rule.file_type == other.file_type or _ALL in (rule.file_type, other.file_type)
            ):
                what = rule.text.decode(errors="backslashreplace")
                raise UserError(f"{rule.place}: gives {what} another context than {other.place}; remove one")
        same.append(rule)


def _substitutions(path: str) -> Iterator[tuple[bytes, bytes]]:
    for place, fields in _lines(path):
        if len(fields) != 2 or not all(field.startswith(b"/") for field in fields):
            raise UserError(f"{place}: must be two absolute paths: a prefix and its replacement")
        yield fields[0].rstrip(b"/"), fields[1].rstrip(b"/")
