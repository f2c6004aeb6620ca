"""Finds the shared libraries of programs in a root tree, as ld.so(8) does it when a program starts.

They are searched in DT_RUNPATH or DT_RPATH of the file that needs them, in the directories of /etc/ld.so.conf, and in
the default ones. Libraries that a program opens itself (dlopen) are not known.
"""

from __future__ import annotations

import posixpath
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.core.text import escaped
from tools.elf.dynamic import Dynamic, is_elf, machine_of, read_dynamic
from tools.tree.node import Directory, File
from tools.tree.paths import lookup
from tools.tree.select import select

_MAX_CONF = 1 << 16
"""Maximum size of an ld.so.conf in bytes."""

_DEFAULT_FOLDERS = ("lib/{}-linux-gnu", "usr/lib/{}-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib")


def find_file(root: Directory, path: bytes) -> File | None:
    """Returns the file at a path, which may lead over `..` and links, or None if there is none."""
    try:
        node = lookup(root, [part for part in path.split(b"/") if part not in (b"", b".")], follow=True)
    except UserError:
        return None
    return node if isinstance(node, File) else None


def package_of(library: str) -> str:
    """Returns the name of the Debian package of a library, if it is named as Debian Policy, section 8.1, demands.

    Args:
        library: name of the library (DT_SONAME), such as `libpq.so.5`, which is in `libpq5`.
    """
    if re.match(r"ld-linux|lib(c|m|dl|rt|pthread|resolv)\.so", library):
        return "libc6"
    if library.startswith("ld-musl"):
        return "musl"
    stem, _, version = library.partition(".so")
    version = version.lstrip(".")
    return f"{stem}{'-' if version and stem[-1:].isdigit() else ''}{version}".lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A file of a program: its path, what it needs, and where that is searched first."""

    path: bytes
    needed: tuple[bytes, ...]
    search: tuple[bytes, ...]
    inherited: tuple[bytes, ...]


class Linker:
    """Finds the libraries of programs of one architecture."""

    def __init__(self, root: Directory, architecture: str) -> None:
        """Reads the configuration of the root tree.

        Args:
            root: the root tree.
            architecture: of the programs, as uname(1) names it.
        """
        self._root = root
        self._architecture = architecture
        default = (folder.format(architecture).encode() for folder in _DEFAULT_FOLDERS)
        self._folders = tuple(dict.fromkeys((*self._configured(), *default)))
        self._known: dict[File, Dynamic] = {}

    def faults(self, path: bytes, program: File) -> Iterator[str]:
        """Yields what keeps a program from being loaded: an ELF file of this architecture.

        Raises:
            UserError: it, or a library, is damaged.
        """
        dynamic = self._read(path, program)
        if dynamic.type not in ("executable", "shared"):
            yield f"is an ELF file of type {dynamic.type}, not a program"
            return
        if dynamic.interpreter is None:
            if dynamic.needed:
                yield "is a shared library, not a program: it names no dynamic linker"
            return
        linker = find_file(self._root, dynamic.interpreter)
        if linker is None or not self._fits(linker):
            yield self._missing(dynamic.interpreter, posixpath.basename(dynamic.interpreter))
            return
        loaded = {posixpath.basename(dynamic.interpreter)}
        waiting = deque([_loaded(path, dynamic, ())])
        while waiting:
            user = waiting.popleft()
            for library in user.needed:
                if library in loaded:
                    continue
                loaded.add(library)
                found = self._library(library, (*user.search, *self._folders))
                if found is None:
                    text = self._missing(library, library)
                    yield text if user.path == path else f"{text} (for /{escaped(user.path.lstrip(b'/'))})"
                else:
                    waiting.append(_loaded(found[0], self._read(*found), user.inherited))

    def _missing(self, name: bytes, file: bytes) -> str:
        package = escaped(package_of(file.decode(errors="surrogateescape")))
        return (
            f"needs {escaped(name)}, which the root does not have for {self._architecture}; "
            f"on Debian, the package {package} may have it"
        )

    def _library(self, name: bytes, folders: Iterable[bytes]) -> tuple[bytes, File] | None:
        """Returns path and node of a library; files of other architectures are passed over."""
        paths = [name] if b"/" in name else [folder + b"/" + name for folder in folders]
        for path in paths:
            node = find_file(self._root, path)
            if node is not None and self._fits(node):
                return path, node
        return None

    def _fits(self, node: File) -> bool:
        try:
            return is_elf(node.content) and machine_of(node.content) == self._architecture
        except ValueError:
            return False

    def _read(self, path: bytes, node: File) -> Dynamic:
        if node not in self._known:
            self._known[node] = read_dynamic(node.content, f"/{escaped(path.lstrip(b'/'))}")
        return self._known[node]

    def _configured(self) -> Iterator[bytes]:
        """Yields the directories that /etc/ld.so.conf and the files that it includes name (ldconfig(8))."""
        seen: set[File] = set()  # a file that is included again adds nothing
        waiting = ["etc/ld.so.conf"]
        while waiting:
            path = waiting.pop()
            node = find_file(self._root, path.encode(errors="surrogateescape"))
            if node is None or node in seen or node.content.size > _MAX_CONF:
                continue
            seen.add(node)
            for line in node.content.read(0, node.content.size).decode(errors="surrogateescape").splitlines():
                words = line.partition("#")[0].split()
                if words[:1] == ["include"]:
                    patterns = (posixpath.join(posixpath.dirname(path), word) for word in words[1:])
                    waiting += [name for pattern in patterns for name in self._included(pattern)]
                else:
                    yield from (word.encode(errors="surrogateescape").rstrip(b"/") for word in words)

    def _included(self, pattern: str) -> list[str]:
        try:
            names = [name.decode(errors="surrogateescape") for _, name in select(self._root, pattern)]
        except UserError:  # the directory does not exist, which ldconfig accepts
            return []
        return [posixpath.join(posixpath.dirname(pattern), name) for name in names]


def _loaded(path: bytes, dynamic: Dynamic, inherited: tuple[bytes, ...]) -> _Loaded:
    """Returns a file with `$ORIGIN` in its search path replaced; inherited is the DT_RPATH of what needs it."""
    origin = posixpath.dirname(path)
    own = tuple(re.sub(rb"\$ORIGIN|\$\{ORIGIN\}", lambda _: origin, folder) for folder in dynamic.search)
    passed_on = (*own, *inherited) if dynamic.inherited else inherited
    search = own if dynamic.search and not dynamic.inherited else passed_on
    return _Loaded(path, dynamic.needed, search, passed_on)
