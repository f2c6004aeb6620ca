"""Checks that each path below a folder that files of an image name exists there, with a mode that fits its use.

The files are all texts below given folders: units, scripts, sudoers, configuration, Python. No format is parsed: a path
is what looks like one, comments included. Two kinds of paths may be missing: those whose existence the same file tests
(`ConditionPathExists=`, `[ -x … ]`), and those of `EnvironmentFile=-` and the like. Of a path with a variable or a
pattern, the directory that holds it is checked.

What is in a folder called `bin` must be executable by everybody, everything else readable by everybody; and nobody but
root may write to any of it.

The exit status is 0 if all is as it should be; 1 if something is not, and each fault is a line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.inspect.volumes import open_partition, read_tree
from tools.tree.node import Directory, File, Node, walk
from tools.tree.paths import components, lookup

_MAX_TEXT = 1 << 20
"""Maximum size of a file that is searched, in bytes; configuration and scripts are smaller."""

_SAMPLE = 1 << 12
"""How many bytes at the start of a file tell whether it is a text."""

_SPECIAL = b"*?[]{}$%<"
"""Characters that make a path a pattern, or part of one, in shells and units."""

_TESTED = rb"""(?x)
    (?: ^ (?:Condition|Assert)\w+ = [|!]*       # systemd.unit(5)
      | ^ \w+ = [@:+!]* - [@:+!]*               # EnvironmentFile=-, ExecStart=-
      | (?: \[\ | \[\[\ | \btest\ ) (?:!\ )? -[defrsx] \ "?   # test(1)
    ) (?P<path> %s ) """


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    image: FileName = argument("image of a file system or disk: raw, or a tar whose one member it is", positional=True)
    partition: str | None = argument("partition of the disk, by name or number", default=None)
    folder: str = argument("the folder whose paths are checked", default="/opt/ic")
    sources: tuple[str, ...] = argument(
        "folders with files that name paths",
        default=("/etc", "/opt/ic", "/usr/lib/systemd", "/usr/lib/sysusers.d", "/usr/lib/tmpfiles.d", "/usr/lib/udev"),
    )


@dataclass(frozen=True, slots=True)
class Mention:
    """A path that a file names.

    Attributes:
        file: the file, from the root.
        path: the path, from the root.
        optional: whether it may be missing.
    """

    file: str
    path: bytes
    optional: bool


def mentions(text: bytes, file: str, folder: str) -> Iterator[Mention]:
    """Yields the paths below a folder, or the folder itself, that a text names."""
    path = re.escape(folder.encode()) + rb"(?:/[\w.@+-]+)*"
    tested = {match["path"] for match in re.finditer(_TESTED % path, text, re.MULTILINE)}
    for match in re.finditer(rb"(?<![\w./])(?<![^=]-)" + path + rb"(?![\w-])", text):
        found = match[0].rstrip(b".")
        after = text[match.end() : match.end() + 1]
        # Where the name goes on with a pattern, the name so far is only its beginning.
        if after and after in _SPECIAL:
            found = found.rpartition(b"/")[0]
        yield Mention(file, found, match[0] in tested)


def all_mentions(root: Directory, sources: tuple[str, ...], folder: str) -> Iterator[Mention]:
    """Yields what the files of a tree name."""
    for source in sources:
        top = lookup(root, components(source), follow=True)
        if not isinstance(top, Directory):
            raise UserError(f"{source}: is no folder in the image; give the paths of folders")
        for path, node in walk(top):
            if not isinstance(node, File) or not 0 < node.content.size <= _MAX_TEXT:
                continue
            if b"\0" not in node.content.read(0, min(node.content.size, _SAMPLE)):
                text = node.content.read(0, node.content.size)
                yield from mentions(text, f"{source}/{escaped(path)}", folder)


def faults(root: Directory, found: list[Mention], folder: str) -> Iterator[str]:
    """Yields a line for each path that is missing, and for each whose mode doesn't fit."""
    for each in found:
        if not each.optional and lookup(root, components(each.path), follow=True) is None:
            yield f"{each.file}: names {escaped(each.path)}, which does not exist"
    top = lookup(root, components(folder), follow=True)
    for path, node in walk(top) if isinstance(top, Directory) else ():
        if isinstance(node, (Directory, File)):
            yield from _mode_faults(node, f"{folder}/{escaped(path)}".rstrip("/"))


def _mode_faults(node: Node, path: str) -> Iterator[str]:
    program = isinstance(node, Directory) or path.split("/")[-2] == "bin"
    needed = 0o555 if program else 0o444
    if node.permissions & needed != needed:
        verb = "execute" if program else "read"
        yield f"{path}: has mode {node.permissions:04o}, but everybody must be able to {verb} it"
    if node.permissions & 0o7022 or (node.uid, node.gid) != (0, 0):
        yield f"{path}: has mode {node.permissions:04o} and owner {node.uid}:{node.gid}; only root may write to it"


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: a path is missing, or has an unfitting mode.
    """
    origin = arguments.image if arguments.partition is None else f"partition {arguments.partition}"
    root = read_tree(open_partition(arguments.image, arguments.partition), origin)
    found = list(all_mentions(root, arguments.sources, arguments.folder))
    if not found:
        raise UserError(f"{origin}: no file names a path below {arguments.folder}; check --folder and --sources")
    wrong = sorted(set(faults(root, found, arguments.folder)))
    for fault in wrong:
        print(escaped(fault))
    if wrong:
        raise CheckError(f"{origin}: {len(wrong)} faults, see the lines above")
    print(f"{origin}: {len({each.path for each in found})} paths checked, in {len(found)} places")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
