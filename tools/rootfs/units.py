"""Checks systemd units of a root tree: that units which others name exist, and that programs of units can start.

Checked is what the tree decides. Units of other types than those in `_TYPES`, such as mounts, may come from
/etc/fstab, and generators other than systemd's own may make any unit: then a missing one is no fault. Nor is a missing
program outside of the directories in `_OF_THE_IMAGE`, which may be on another file system, or one that its unit makes
optional by `-`, a condition, or a mount that it waits for.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from tools.core.errors import UserError
from tools.core.text import escaped
from tools.rootfs.executables import Programs
from tools.rootfs.linking import find_file
from tools.rootfs.tree_spec import UnitsSpec
from tools.tree.contents import read_small
from tools.tree.node import Directory, File, Node, Symlink
from tools.tree.paths import components, lookup

_FOLDERS = ("etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system")
"""Where systemd looks for units; the first one with a name counts (systemd.unit(5))."""

_GENERATORS = tuple(folder + "-generators" for folder in _FOLDERS)

_TYPES = (b".path", b".service", b".socket", b".target", b".timer")
"""Types of units that come from files, and are made by nobody else."""

_GENERATED = re.compile(rb"systemd-[^@]*@.*|kernel-command-line\.service|sshd-.*\.socket")
"""Names of units that systemd's own generators make."""

_LISTS = (b".wants", b".requires", b".upholds")
"""Suffixes of directories with links to units."""

_OF_THE_IMAGE = {b"bin", b"etc", b"lib", b"lib64", b"opt", b"sbin", b"usr"}
"""Directories whose content is that of the image, and on no file system of its own."""

_EXEC = re.compile(rb"Exec(Condition|Reload|ReloadPost|Start|StartPre|StartPost|Stop|StopPost)")
_GUARD = re.compile(rb"(Condition|Assert)\w+|(Requires|Wants)MountsFor")
_OTHER_ROOT = (b"RootDirectory", b"RootImage")
_OPTIONAL = b"-"
_PREFIXES = b"@-:+!|"
_UNKNOWN = b"%$\\"
"""What a program's path is not known with: specifiers, variables, escapes (systemd.service(5))."""

_MASK = b"/dev/null"
_MAX_STEPS = 4096
"""How many components a path may lead over, with those of links; more are a loop."""

_NEAR = 0.9
"""How similar the name of a unit must be to be suggested; all of a type share their suffix."""

_SHOWN = 8
"""How many faults a message has; the others are counted."""


class _Unit(NamedTuple):
    """A file or link in a directory of units.

    Attributes:
        path: its path from the root.
        node: the file or link.
    """

    path: bytes
    node: Node

    @property
    def where(self) -> str:
        """The unit in messages."""
        return self.at("")

    def at(self, place: str) -> str:
        """Returns the name of a place in the unit, such as `:3` for a line, in messages."""
        return f"/{escaped(self.path)}{place} (of {self.node.origin})"


def check_units(root: Directory, specs: Iterable[UnitsSpec], own: Collection[str]) -> None:
    """Checks units.

    Args:
        root: the complete root tree.
        specs: which units.
        own: origins of the nodes whose units and links are checked, which are those that no package brings.

    Raises:
        UserError: a unit doesn't exist, or its program cannot start. The message names the unit, what names it and what
            to do.
    """
    units = _Units(root)
    faults = list(dict.fromkeys(fault for spec in specs for fault in _faults(units, spec, own)))
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise UserError("; ".join(faults[:_SHOWN]) + more)


def _faults(units: _Units, spec: UnitsSpec, own: Collection[str]) -> Iterator[str]:
    for where, names in spec.required.items():
        yield from (f"{where}: {fault}" for name in names if (fault := units.fault(name.encode(), masked=True)))
    if spec.own:
        yield from _link_faults(units, own)
        programs = Programs(units.root, spec.architecture)
        for unit in units.files():
            if unit.node.origin in own and isinstance(unit.node, File):
                for number, fault in _program_faults(units.root, programs, read_small(unit.node, unit.where)):
                    yield f"{unit.at(f':{number}')}: {fault}"


class _Units:
    """The units of a root tree.

    Attributes:
        root: the tree.
    """

    def __init__(self, root: Directory) -> None:
        self.root = root
        self._folders = _directories(root, _FOLDERS)
        generators = {name for _, folder in _directories(root, _GENERATORS) for name in folder.entries}
        self._unknown = any(not name.startswith(b"systemd-") for name in generators)

    def find(self, name: bytes) -> _Unit | None:
        """Returns the file or link of a unit, by the precedence of directories, or None."""
        found = (_Unit(path + name, folder.entries[name]) for path, folder in self._folders if name in folder.entries)
        return next(found, None)

    def files(self) -> Iterator[_Unit]:
        """Yields the units that count, and their additions (drop-ins)."""
        for path, folder in self._folders:
            for name, node in folder.sorted_entries():
                unit = _Unit(path + name, node)
                if name.endswith(_TYPES) and self.find(name) == unit:
                    yield unit
                elif name.endswith(b".d") and isinstance(node, Directory):
                    yield from (_Unit(b"%s/%s" % (unit.path, each), conf) for each, conf in node.sorted_entries())

    def links(self) -> Iterator[_Unit]:
        """Yields the links that make one unit start another."""
        for path, folder in self._folders:
            for name, node in folder.sorted_entries():
                if name.endswith(_LISTS) and isinstance(node, Directory):
                    yield from (_Unit(b"%s%s/%s" % (path, name, each), link) for each, link in node.sorted_entries())

    def fault(self, name: bytes, *, masked: bool = False) -> str:
        """Returns what is wrong with the name of a unit that is to start; the empty text if nothing is known to be.

        Args:
            name: of the unit, such as `a.service`, or of an instance, `a@1.service`.
            masked: whether it is a fault that the unit is masked.
        """
        stem, suffix = posixpath.splitext(name)
        if not suffix:
            return f"{escaped(name)} is no name of a unit: add its type, as in {escaped(name)}.service"
        if suffix not in _TYPES:
            return ""
        prefix, at, _ = stem.partition(b"@")
        unit = self.find(name) or (self.find(prefix + at + suffix) if at else None)
        if unit is None:
            return "" if self._may_be_made(name) else self._missing(name)
        if isinstance(unit.node, Symlink) and unit.node.target == _MASK:
            return f"{escaped(name)} is masked by {unit.where}, so it never starts" if masked else ""
        return self.dangling(unit)

    def dangling(self, unit: _Unit) -> str:
        """Returns what is wrong with a link to a unit's file; the empty text if nothing is known to be."""
        if not isinstance(unit.node, Symlink) or unit.node.target == _MASK or not _is_missing(self.root, unit.path):
            return ""
        return f"/{escaped(unit.path)} is a link to {escaped(unit.node.target)}, which the tree does not have"

    def _may_be_made(self, name: bytes) -> bool:
        script = b"etc/init.d/" + name.removesuffix(b".service")
        return self._unknown or bool(_GENERATED.fullmatch(name)) or find_file(self.root, script) is not None

    def _missing(self, name: bytes) -> str:
        import difflib  # noqa: PLC0415 - every command would start later, and only this error needs it

        known = {escaped(each) for _, folder in self._folders for each in folder.entries if each.endswith(_TYPES)}
        near = difflib.get_close_matches(escaped(name), sorted(known), 1, _NEAR)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"the tree has no unit {escaped(name)}{hint}: correct the name, or add the file or package of the unit"


def _directories(root: Directory, paths: Iterable[str]) -> list[tuple[bytes, Directory]]:
    """Returns the directories that a tree has of `paths`, with a slash after their paths.

    Each is there once: /lib may be a link to /usr/lib.
    """
    found: dict[Directory, bytes] = {}
    for path in paths:
        node = _lookup(root, path.encode())
        if isinstance(node, Directory):
            found.setdefault(node, path.encode() + b"/")
    return [(path, folder) for folder, path in found.items()]


def _lookup(root: Directory, path: bytes) -> Node | None:
    """Returns what a path leads to, or None."""
    try:
        return lookup(root, components(path), follow=True)
    except UserError:
        return None


def _is_missing(root: Directory, path: bytes) -> bool:
    """Returns whether a path leads nowhere, to a place of which the tree decides."""
    done: list[bytes] = []
    left = [part for part in reversed(path.split(b"/")) if part not in (b"", b".")]
    for _ in range(_MAX_STEPS):
        if not left:
            return False
        part = left.pop()
        if part == b"..":
            del done[-1:]
            continue
        folder = lookup(root, done)
        node = folder.entries.get(part) if isinstance(folder, Directory) else None
        if isinstance(node, Symlink):
            done = [] if node.target.startswith(b"/") else done
            left += [each for each in reversed(node.target.split(b"/")) if each not in (b"", b".")]
        elif node is None:
            return (done or [part])[0] in _OF_THE_IMAGE
        else:
            done.append(part)
    return False


def _link_faults(units: _Units, own: Collection[str]) -> Iterator[str]:
    """Yields what is wrong with the links in `own`: those that enable a unit, and those to a unit's file."""
    for link in units.links():
        if link.node.origin in own and (fault := units.fault(posixpath.basename(link.path))):
            yield f"{link.where}: {fault}"
    for unit in units.files():
        if unit.node.origin in own and (fault := units.dangling(unit)):
            yield fault


def _program_faults(root: Directory, programs: Programs, text: bytes) -> Iterator[tuple[int, str]]:
    """Yields the faults of the programs in the text of a unit, with the numbers of their lines."""
    settings = list(_settings(text))
    if any(key in _OTHER_ROOT and value for _, key, value in settings):
        return
    guards = [word.lstrip(b"|!") for _, key, value in settings if _GUARD.fullmatch(key) for word in value.split()]
    for number, key, value in settings:
        path = _program(value) if _EXEC.fullmatch(key) else None
        if path is None:
            continue
        what = f"{key.decode()}={escaped(path)}"
        file = find_file(root, path)
        if file is not None:
            yield from ((number, f"{what} {fault}") for fault in programs.faults(file))
        elif _is_missing(root, path) and not any(path == guard or path.startswith(guard + b"/") for guard in guards):
            yield number, f"{what} is no file of the tree: correct the path, or add the file"
        elif isinstance(_lookup(root, path), Directory):
            yield number, f"{what} is a directory: name a program"


def _settings(text: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yields the settings of a unit: line, key, value; of a key in several lines, those after the last empty one."""
    found: list[tuple[int, bytes, bytes]] = []
    before, first = b"", 0
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith((b"#", b";")):
            continue
        first = first if before else number
        if line.endswith(b"\\"):
            before += line[:-1] + b" "
            continue
        key, equals, value = (before + line).partition(b"=")
        before = b""
        if equals and not value.strip():
            found = [setting for setting in found if setting[1] != key.strip()]
        elif equals:
            found.append((first, key.strip(), value.strip()))
    yield from found


def _program(value: bytes) -> bytes | None:
    """Returns the path of the program of a command line, or None if it may be missing, or is not known."""
    command = value.lstrip(_PREFIXES)
    if _OPTIONAL in value[: len(value) - len(command)]:
        return None
    quote = command[:1] if command[:1] in (b'"', b"'") else b""
    path = command[1:].partition(quote)[0] if quote else command.split(maxsplit=1)[0] if command else b""
    return path if path.startswith(b"/") and not set(path) & set(_UNKNOWN) else None
