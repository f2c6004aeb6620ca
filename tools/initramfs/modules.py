"""Kernel modules: which files a wish needs, and in what order they load.

Format: modules.dep(5), as depmod writes it. Each line is `path: dependency …`, paths relative to the modules' folder;
the dependencies are complete, the last one named loads first. modules.builtin lists, one a line, what is part of the
kernel itself. modules.softdep holds lines `softdep NAME pre: … post: …` (modprobe.d(5)).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass

from tools.core.errors import UserError

_EXTENSION = re.compile(r"\.ko(\.(xz|zst|gz))?$")


def module_name(path: str) -> str:
    """Returns the name by which the kernel knows a module file: `a/dm-verity.ko.xz` is `dm_verity`."""
    return _EXTENSION.sub("", posixpath.basename(path)).replace("-", "_")


@dataclass(frozen=True, slots=True)
class ModuleIndex:
    """What depmod knows of a kernel's modules.

    Attributes:
        paths: module name to path, relative to the modules' folder.
        dependencies: module name to the names that it needs first, in the order in which they load.
        builtin: the names of what is part of the kernel.
        origin: what to call the folder in messages.
    """

    paths: dict[str, str]
    dependencies: dict[str, tuple[str, ...]]
    builtin: frozenset[str]
    origin: str

    @classmethod
    def parse(cls, dep: str, builtin: str, softdep: str, origin: str) -> ModuleIndex:
        """Returns the index that the texts of modules.dep, modules.builtin and modules.softdep describe.

        Raises:
            UserError: a line is not of the form that depmod writes.
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
        """Returns the paths of the wanted modules and of all that they need, each after what it needs.

        What is part of the kernel is left out.

        Args:
            wanted: module names, with `-` or `_`.

        Raises:
            UserError: a module is neither there nor part of the kernel, or needs itself.
        """
        order: dict[str, str] = {}
        for name in wanted:
            self._add(module_name(name), order, ())
        return list(order.values())

    def _add(self, name: str, order: dict[str, str], chain: tuple[str, ...]) -> None:
        if name in order or name in self.builtin:
            return
        if name in chain:
            raise UserError(f"{self.origin}: modules need each other in a circle: {' -> '.join((*chain, name))}")
        if name not in self.paths:
            needed = f", which {chain[-1]} needs" if chain else ""
            raise UserError(f"{self.origin}: has no module {name!r}{needed}, and it is not part of the kernel")
        for dependency in self.dependencies[name]:
            self._add(dependency, order, (*chain, name))
        order[name] = self.paths[name]


def _soft_dependencies(text: str) -> Iterable[tuple[str, list[str]]]:
    """Yields (module, modules that should load before it)."""
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
