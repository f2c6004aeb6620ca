"""Checks that programs of a root tree can start in it: mode, kind of file, architecture, interpreter, libraries."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from tools.core.errors import UserError
from tools.core.text import escaped
from tools.elf.dynamic import is_elf, machine_of
from tools.rootfs.linking import Linker, find_file
from tools.rootfs.tree_spec import ExecutablesSpec
from tools.tree.node import Directory, File, Node, Symlink, walk
from tools.tree.paths import MissingError
from tools.tree.select import Place, select

_FIRST_LINE = 256
"""How many bytes the kernel reads of the first line of a script (BINPRM_BUF_SIZE of Linux)."""

_SHOWN = 8
"""How many faults a message has; the others are counted."""

_PATH = (b"usr/local/sbin", b"usr/local/bin", b"usr/sbin", b"usr/bin", b"sbin", b"bin")
"""Directories that env(1) searches in the environment of services (systemd.exec(5))."""


def check_executables(root: Directory, specs: Iterable[ExecutablesSpec]) -> None:
    """Checks that programs can start; none is run.

    Args:
        root: the complete root tree.
        specs: which programs, and their architecture.

    Raises:
        UserError: one of them cannot start, or a pattern is invalid. The message names the programs, where they are
            from, what they lack, and the package that may have it.
    """
    faults = [fault for spec in specs for fault in _faults(root, spec)]
    if faults:
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise UserError(f"has programs that cannot start: {'; '.join(faults[:_SHOWN])}{more}")


class Programs:
    """Checks programs of a root tree, one by one."""

    def __init__(self, root: Directory, architecture: str) -> None:
        self._root = root
        self._architecture = architecture
        self._linker = Linker(root, architecture)
        self._places = {node: path for path, node in walk(root)}

    def path(self, node: Node) -> bytes:
        """Returns the path of a file or directory."""
        return self._places[node]

    def faults(self, file: File) -> list[str]:
        """Returns what keeps a program from starting."""
        # The kernel and the dynamic linker see the path that a link leads to.
        return list(_file_faults(self._root, self._places[file], file, self._linker, self._architecture))


def _faults(root: Directory, spec: ExecutablesSpec) -> Iterator[str]:
    programs = Programs(root, spec.architecture)
    for pattern in spec.paths:
        for folder, name in _selected(root, pattern):
            path = posixpath.join(programs.path(folder), name)
            node = folder.entries[name]
            if isinstance(node, Directory):
                continue
            file = find_file(root, path)
            if file is not None:
                faults = programs.faults(file)
            elif isinstance(node, Symlink):
                faults = [f"is a link to {escaped(node.target)}, which is no file"]
            else:
                faults = ["is no file"]
            yield from (f"/{escaped(path)} (of {node.origin}) {fault}" for fault in faults)


def _selected(root: Directory, pattern: str) -> list[Place]:
    try:
        return select(root, pattern)
    except UserError as error:
        if not isinstance(error.__cause__, MissingError):
            raise
        raise UserError(
            f"{error.__cause__}, but is one of the executables of the tree; add its package, or correct the path"
        ) from error


def _file_faults(root: Directory, path: bytes, node: File, linker: Linker, architecture: str) -> Iterator[str]:
    if not node.permissions & 0o111:
        yield f"has mode {node.permissions:04o}, which does not let anybody execute it: give it 0755"
    start = node.content.read(0, min(node.content.size, _FIRST_LINE))
    if start.startswith(b"#!"):
        yield from _script_faults(root, start)
    elif not is_elf(node.content):
        yield "is empty" if not start else "is neither an ELF file nor a script with an interpreter in its first line"
    else:
        try:
            machine = machine_of(node.content)
            if machine == architecture:
                yield from linker.faults(path, node)
            else:
                yield f"is built for {machine}, not for {architecture}"
        except (UserError, ValueError) as error:
            yield f"cannot be loaded: {error}"


def _script_faults(root: Directory, start: bytes) -> Iterator[str]:
    """Yields what is wrong with the interpreter that a script's first line names."""
    line, newline, _ = start[2:].partition(b"\n")
    if not newline and len(start) == _FIRST_LINE:
        yield f"has a first line of more than {_FIRST_LINE} bytes, which the kernel cuts off"
        return
    words = line.replace(b"\t", b" ").strip(b" ").split(b" ")
    interpreter = words[0]
    if not interpreter.startswith(b"/"):
        yield f"names the interpreter '{escaped(interpreter)}', which is not an absolute path"
    elif not _executable(root, interpreter):
        yield f"needs the interpreter {escaped(interpreter)}, which the root does not have as a program"
    elif posixpath.basename(interpreter) == b"env":
        program = next((word for word in words[1:] if word and not word.startswith(b"-") and b"=" not in word), b"")
        folders = (b"",) if b"/" in program else _PATH
        if not any(_executable(root, folder + b"/" + program) for folder in folders):
            yield f"needs '{escaped(program)}', which env finds in no directory of PATH"


def _executable(root: Directory, path: bytes) -> bool:
    node = find_file(root, path)
    return node is not None and node.permissions & 0o111 != 0
