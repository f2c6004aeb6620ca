"""Resolves the dependencies of kernel modules, and their load order.

Files of depmod(8): modules.dep (modules.dep(5)) has lines `path: dependency …`, with paths relative to the directory of
the modules, and with all direct and indirect dependencies, of which the last one is loaded first. modules.builtin lists
the modules that are built into the kernel. modules.softdep has lines `softdep NAME pre: … post: …` (modprobe.d(5)).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tools.core.errors import UserError

_EXTENSION = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def module_name(path: str) -> str:
    """Returns the kernel's name of a module file: `dm_verity` for `a/dm-verity.ko.xz`."""
    return _EXTENSION.sub("", posixpath.basename(path)).replace("-", "_")


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """The modules of a kernel and their dependencies.

    Attributes:
        paths: paths by module name, relative to the directory of the modules.
        dependencies: names of the dependencies by module name, in load order.
        builtin: names of the modules that are built into the kernel.
        origin: name of the directory in messages.
    """

    paths: dict[str, str]
    dependencies: dict[str, tuple[str, ...]]
    builtin: frozenset[str]
    origin: str

    @classmethod
    def parse(cls, dep: str, builtin: str, softdep: str, origin: str) -> ModuleIndex:
        """Parses the contents of modules.dep, modules.builtin and modules.softdep.

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
        for name, before in _soft_dependencies(softdep):
            if name in dependencies:
                known = tuple(other for other in before if other in paths)
                dependencies[name] = (*dependencies[name], *known)
        return cls(paths, dependencies, frozenset(module_name(line) for line in builtin.splitlines()), origin)

    def load_order(self, wanted: Iterable[str]) -> list[str]:
        """Returns the paths of modules and their dependencies in load order, without built-in ones.

        Args:
            wanted: module names, with `-` or `_`.

        Raises:
            UserError: a module does not exist, or depends on itself.
        """
        order: dict[str, str] = {}
        for name in wanted:
            self._add(module_name(name), order, ())
        return list(order.values())

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
        order[name] = self.paths[name]


def _soft_dependencies(text: str) -> Iterable[tuple[str, list[str]]]:
    """Yields (module, modules to load before it)."""
    for line in text.splitlines():
        words = line.split()
        if len(words) < 3 or words[0] != "softdep":
            continue
        before: list[str] = []
        section = ""
        for word in words[2:]:
            if word.endswith(":"):
                section = word
            elif section == "pre:":
                before.append(module_name(word))
        yield module_name(words[1]), before
