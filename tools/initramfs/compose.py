"""Builds the tree of an initramfs from parts of a root tree.

Shared libraries of programs are found by their dynamic sections, and dependencies of kernel modules by modules.dep; no
program of the root tree is run. Files that a program opens at run time (plug-ins, data) must be listed explicitly.
"""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import IO, Any

import zstandard

from tools.core.errors import UserError
from tools.core.frames import xz_reader, zstd_reader
from tools.elf.dynamic import is_elf, read_dynamic
from tools.image.extents import Image
from tools.initramfs.modules import ModuleIndex
from tools.tree.node import Device, Directory, File, Node, Symlink

MODULES_FOLDER = b"usr/lib/modules"

_MAX_SYMLINKS = 40
"""Maximum number of symbolic links in the resolution of a path, as in Linux (path_resolution(7))."""

_MAX_MODULE_BYTES = 1 << 28
"""Maximum size of a decompressed module in bytes, so that a damaged one doesn't exhaust the memory."""

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The contents of an initramfs.

    Attributes:
        init: content of `/init`, the first process.
        programs: paths of programs in the root tree; their shared libraries are added.
        paths: paths of further files in the root tree; the shared libraries of ELF files are added.
        modules: names of kernel modules, in the order in which they should be loaded.
        folders: empty directories to create, such as mount points.
        files: contents of further files, by path.
    """

    init: Image
    programs: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    files: dict[str, Image] = field(default_factory=dict)


def compose(root: Directory, contents: Contents, origin: str) -> Directory:
    """Returns the tree of an initramfs.

    Its `/etc/modules` lists the paths of the modules, one per line, in the order in which to load them. The word
    `optional` follows the path of a module that the others may do without if it does not load. Modules are
    decompressed, so that `/init` needs no decompressor.

    Args:
        root: the root tree with programs, libraries and modules.
        contents: what to add.
        origin: name of the root tree in messages.

    Raises:
        UserError: a file, library or module does not exist.
    """
    builder = _Builder(root, origin)
    for program in contents.programs:
        builder.add(program.encode())
    for path in contents.paths:
        builder.add(path.encode())
    builder.add_modules(contents.modules)
    for folder in contents.folders:
        builder.folder(folder.encode())
    builder.file(b"init", contents.init, 0o755)
    for path, content in sorted(contents.files.items()):
        builder.file(path.encode(), content, 0o644)
    # The kernel opens /dev/console for the first process, before that can mount anything.
    builder.place(b"dev/console", Device(permissions=0o600, block=False, major=5, minor=1))
    return builder.result


def kernel_version(root: Directory, origin: str) -> str:
    """Returns the version of the kernel whose modules are in the root tree.

    Raises:
        UserError: there are modules of no kernel, or of more than one.
    """
    folder = _Builder(root, origin).find(MODULES_FOLDER)[1]
    names = sorted(folder.entries) if isinstance(folder, Directory) else []
    if len(names) != 1:
        found = ", ".join(name.decode(errors="replace") for name in names) or "none"
        raise UserError(f"{origin}: must have the modules of exactly one kernel in /usr/lib/modules, has {found}")
    return names[0].decode()


class _Builder:
    """Copies files of one tree into another, with their dependencies."""

    def __init__(self, root: Directory, origin: str) -> None:
        self.result = Directory()
        self._root = root
        self._origin = origin
        self._library_folders: list[bytes] = []

    def find(self, path: bytes) -> tuple[bytes, Node]:
        """Resolves a path with all symbolic links; returns the resolved path and its node.

        The links are added to the result, so that the path can be resolved there, too.
        """
        return self._find(path, path, 0)

    def _find(self, path: bytes, asked: bytes, links: int) -> tuple[bytes, Node]:
        node: Node = self._root
        place: list[bytes] = []
        parts = [part for part in path.split(b"/") if part and part != b"."]
        for index, part in enumerate(parts):
            if part == b"..":
                place = place[:-1]
                node = self._at(place)
                continue
            child = node.entries.get(part) if isinstance(node, Directory) else None
            if child is None:
                raise UserError(
                    f"{self._origin}: has no /{asked.decode(errors='replace')}, which the initramfs needs; "
                    "add the package that has it"
                )
            if isinstance(child, Symlink):
                if links == _MAX_SYMLINKS:
                    raise UserError(f"{self._origin}: too many symbolic links in /{asked.decode(errors='replace')}")
                self._place_link(b"/".join((*place, part)), child)
                start = b"" if child.target.startswith(b"/") else b"/".join(place)
                return self._find(b"/".join((start, child.target, *parts[index + 1 :])), asked, links + 1)
            place.append(part)
            node = child
        return b"/".join(place), node

    def _at(self, place: Iterable[bytes]) -> Node:
        node: Node = self._root
        for part in place:
            assert isinstance(node, Directory)
            node = node.entries[part]
        return node

    def _place_link(self, path: bytes, link: Symlink) -> None:
        self.place(path, Symlink(target=link.target, origin=link.origin))

    def add(self, path: bytes) -> None:
        """Adds a file of the root tree and, if it is an ELF file, its interpreter and shared libraries."""
        place, node = self.find(path)
        if not isinstance(node, File):
            raise UserError(f"{self._origin}: /{path.decode(errors='replace')} is not a file")
        if self._has(place):
            return
        self.place(place, File(permissions=node.permissions, content=node.content, origin=node.origin))
        if is_elf(node.content):
            self._add_needed(place, node)

    def _add_needed(self, place: bytes, node: File) -> None:
        name = f"{self._origin}: /{place.decode(errors='replace')}"
        dynamic = read_dynamic(node.content, name)
        if dynamic.interpreter is not None:
            linker, _ = self.find(dynamic.interpreter)
            # Debian's dynamic linker searches its own directory by default, without a cache (ld.so(8)).
            folder = posixpath.dirname(linker)
            if folder not in self._library_folders:
                self._library_folders.append(folder)
            self.add(dynamic.interpreter)
        origin = b"/" + posixpath.dirname(place)
        search = [part.replace(b"$ORIGIN", origin).replace(b"${ORIGIN}", origin) for part in dynamic.search]
        for library in dynamic.needed:
            self._add_library(library, [*search, *self._library_folders], name)

    def _add_library(self, library: bytes, folders: list[bytes], name: str) -> None:
        for folder in folders:
            path = folder.strip(b"/") + b"/" + library
            if self._exists(path):
                self.add(path)
                return
        raise UserError(f"{name} needs {library.decode(errors='replace')}, which is in none of its library directories")

    def _exists(self, path: bytes) -> bool:
        try:
            node = _Builder(self._root, self._origin).find(path)[1]
        except UserError:
            return False
        return isinstance(node, File)

    def add_modules(self, wanted: tuple[str, ...]) -> None:
        """Adds decompressed modules with their dependencies, and /etc/modules."""
        if not wanted:
            return
        version = kernel_version(self._root, self._origin)
        folder = MODULES_FOLDER.decode() + "/" + version
        dep, builtin, softdep = (self._text(f"{folder}/modules.{name}") for name in ("dep", "builtin", "softdep"))
        # Without soft dependencies it doesn't matter which aliases a module has.
        alias = self._text(f"{folder}/modules.alias") if "softdep" in softdep.split() else ""
        index = ModuleIndex.parse(dep, builtin, softdep, alias, f"{self._origin}: /{folder}")
        lines = []
        for module in index.load_order(wanted):
            _, node = self.find(f"{folder}/{module.path}".encode())
            if not isinstance(node, File):
                raise UserError(f"{self._origin}: /{folder}/{module.path} is not a file")
            target, unpacked = _unpacked(f"{folder}/{module.path}", node.content, self._origin)
            self.file(target.encode(), Image.from_bytes(unpacked), 0o644)
            lines.append(f"/{target} optional\n" if module.optional else f"/{target}\n")
        self.file(b"etc/modules", Image.from_bytes("".join(lines).encode()), 0o644)

    def _text(self, path: str) -> str:
        _, node = self.find(path.encode())
        if not isinstance(node, File):
            raise UserError(f"{self._origin}: /{path} is not a file")
        return node.content.read(0, node.content.size).decode(errors="replace")

    def file(self, path: bytes, content: Image, permissions: int) -> None:
        """Adds a file that is not from the root tree."""
        self.place(path, File(permissions=permissions, content=content))

    def folder(self, path: bytes) -> Directory:
        """Returns a directory of the result; creates it and its parents if necessary."""
        node = self.result
        for part in path.split(b"/"):
            if not part:
                continue
            child = node.entries.setdefault(part, Directory())
            if isinstance(child, Symlink):
                raise UserError(f"/{path.decode(errors='replace')} of the initramfs is below a link")
            assert isinstance(child, Directory)
            node = child
        return node

    def place(self, path: bytes, node: Node) -> None:
        """Adds a node at a path; an equal symbolic link may already exist."""
        folder, name = posixpath.split(path)
        entries = self.folder(folder).entries
        before = entries.get(name)
        if isinstance(before, Symlink) and isinstance(node, Symlink) and before.target == node.target:
            return
        if before is not None:
            raise UserError(f"/{path.decode(errors='replace')} of the initramfs is given twice")
        entries[name] = node

    def _has(self, path: bytes) -> bool:
        node: Node = self.result
        for part in path.split(b"/"):
            if not isinstance(node, Directory) or part not in node.entries:
                return False
            node = node.entries[part]
        return True


_READERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".xz": lambda source: xz_reader(source, _MAX_MODULE_BYTES),
    ".gz": lambda source: gzip.GzipFile(fileobj=source),
    ".zst": lambda source: zstd_reader(source, _MAX_MODULE_BYTES),
}
"""Readers of all streams of a compressed file, by extension; they raise errors for what is damaged or cut."""


def _unpacked(path: str, content: Image, origin: str) -> tuple[str, bytes]:
    """Returns the path and the content of a decompressed module."""
    data = content.read(0, content.size)
    stem, extension = posixpath.splitext(path)
    if extension not in _READERS:
        return path, data
    unpacked = bytearray()
    try:
        reader = _READERS[extension](io.BytesIO(data))
        while piece := reader.read(_CHUNK):
            unpacked += piece
            if len(unpacked) > _MAX_MODULE_BYTES:
                raise UserError(f"{origin}: /{path}: is larger than {_MAX_MODULE_BYTES} bytes when decompressed")
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error, zstandard.ZstdError) as error:
        raise UserError(f"{origin}: /{path} cannot be decompressed: {error}; replace it in the tree") from error
    return stem, bytes(unpacked)
