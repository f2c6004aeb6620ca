"""Resolves the dependencies of kernel modules, and their load order.

Files of depmod(8): modules.dep (modules.dep(5)) has lines `path: dependency …`, with paths relative to the directory of
the modules, and with all direct and indirect dependencies, of which the last one is loaded first. modules.builtin lists
the modules that are built into the kernel. modules.softdep has lines `softdep NAME pre: … post: …` (modprobe.d(5)),
whose names are modules, or aliases: modules.alias has lines `alias PATTERN MODULE`. As with modprobe(8), a name that is
neither is ignored, since its module may be built into the kernel, or the kernel may be built without it. Also as with
modprobe(8), a soft dependency that does not load is no error: an alias such as `crc32c` names drivers for instructions
that not every processor has.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from tools.core.errors import UserError

_EXTENSION = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def module_name(path: str) -> str:
    """Returns the kernel's name of a module file: `dm_verity` for `a/dm-verity.ko.xz`."""
    return _EXTENSION.sub("", posixpath.basename(path)).replace("-", "_")


@dataclass(frozen=True, slots=True)
class ModuleToLoad:
    """A module in the load order.

    Attributes:
        path: relative to the directory of the modules.
        optional: whether only soft dependencies name it, so that the others may do without it.
    """

    path: str
    optional: bool


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """The modules of a kernel and their dependencies.

    Attributes:
        paths: paths by module name, relative to the directory of the modules.
        dependencies: names of the dependencies by module name, in load order.
        before: names of the soft dependencies to load before a module, by its name.
        after: names of those to load after it.
        builtin: names of the modules that are built into the kernel.
        origin: name of the directory in messages.
    """

    paths: dict[str, str]
    dependencies: dict[str, tuple[str, ...]]
    before: dict[str, tuple[str, ...]]
    after: dict[str, tuple[str, ...]]
    builtin: frozenset[str]
    origin: str

    @classmethod
    def parse(cls, dep: str, builtin: str, softdep: str, alias: str, origin: str) -> ModuleIndex:
        """Parses the contents of modules.dep, modules.builtin, modules.softdep and modules.alias.

        Raises:
            UserError: a line is invalid.
        """
        paths: dict[str, str] = {}
        dependencies: dict[str, tuple[str, ...]] = {}
        for number, line in enumerate(dep.splitlines(), 1):
            path, colon, rest = line.partition(":")
            if not colon:
                raise UserError(f"{origin}/modules.dep:{number}: not of the form 'module: dependencies': {line!r}")
            paths[module_name(path)] = path
            dependencies[module_name(path)] = tuple(module_name(other) for other in reversed(rest.split()))
        aliases = _aliases(alias)
        before: dict[str, tuple[str, ...]] = {}
        after: dict[str, tuple[str, ...]] = {}
        for name, *named in _soft_dependencies(softdep):
            for table, wanted in zip((before, after), named, strict=True):
                found = (module for each in wanted for module in _resolved(each, paths, aliases))
                table[name] = (*table.get(name, ()), *found)
        built_in = frozenset(module_name(line) for line in builtin.splitlines())
        return cls(paths, dependencies, before, after, built_in, origin)

    def load_order(self, wanted: Iterable[str]) -> list[ModuleToLoad]:
        """Returns modules and their dependencies in load order, without built-in ones.

        Args:
            wanted: module names, with `-` or `_`.

        Raises:
            UserError: a module does not exist, or depends on itself.
        """
        names = [module_name(name) for name in wanted]
        order: dict[str, str] = {}
        for name in names:
            self._add(name, order, ())
        required = {*names, *(needed for name in names for needed in self.dependencies.get(name, ()))}
        return [ModuleToLoad(path, optional=name not in required) for name, path in order.items()]

    def _add(self, name: str, order: dict[str, str], chain: tuple[str, ...]) -> None:
        if name in order or name in self.builtin:
            return
        if name in chain:
            raise UserError(f"{self.origin}: modules depend on each other: {' -> '.join((*chain, name))}")
        if name not in self.paths:
            needed = f", which {chain[-1]} needs" if chain else ""
            raise UserError(f"{self.origin}: has no module {name!r}{needed}, and it is not built into the kernel")
        for dependency in self.dependencies[name]:
            self._add(dependency, order, (*chain, name))
        self._add_soft(self.before.get(name, ()), order, (*chain, name))
        order[name] = self.paths[name]
        self._add_soft(self.after.get(name, ()), order, (*chain, name))

    def _add_soft(self, names: Iterable[str], order: dict[str, str], chain: tuple[str, ...]) -> None:
        """Adds soft dependencies, without those that are being added; unlike hard ones they may form a loop."""
        for name in names:
            if name not in chain:
                self._add(name, order, chain)


def _aliases(text: str) -> list[tuple[str, str]]:
    """Returns (pattern, module) of the lines of modules.alias."""
    lines = (line.split() for line in text.splitlines())
    return [(words[1].replace("-", "_"), module_name(words[2])) for words in lines if words[:1] == ["alias"]]


def _resolved(name: str, paths: Container[str], aliases: Sequence[tuple[str, str]]) -> list[str]:
    """Returns the modules of a name in modules.softdep: the module itself, or all that have it as an alias."""
    if name in paths:
        return [name]
    return [module for pattern, module in aliases if module in paths and fnmatch.fnmatchcase(name, pattern)]


def _soft_dependencies(text: str) -> Iterable[tuple[str, list[str], list[str]]]:
    """Yields (module, names to load before it, names to load after it)."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "softdep":
            continue
        sections: dict[str, list[str]] = {"pre:": [], "post:": []}
        section = ""
        for word in words[2:]:
            if word.endswith(":"):
                section = word
            elif section in sections:
                sections[section].append(module_name(word))
        yield module_name(words[1]), sections["pre:"], sections["post:"]
