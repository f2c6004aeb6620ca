"""Checks what an image holds, without mounting it: paths, their metadata and contents, and what must not be there.

The exit status is 0 if all is as it should be; 1 if something is not, and each fault is a line; 2 if the image cannot
be checked.

Metadata is given in the keywords of mtree(5): `type=file mode=0755 uid=0 gid=0 link=target size=12`; and file
capabilities in the form of setcap(8), as `capabilities=cap_net_raw=ep`, or `capabilities=` for none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.inspect.volumes import open_partition, read_tree
from tools.tree import capability
from tools.tree.compare import type_name
from tools.tree.contents import read_small
from tools.tree.mtree import keywords
from tools.tree.node import Directory, File, Node, Symlink
from tools.tree.paths import components, lookup
from tools.tree.select import select


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    image: FileName = argument("image of a file system or disk: raw, or a tar whose one member it is", positional=True)
    partition: str | None = argument("partition of the disk, by name or number", default=None)
    present: dict[str, str] | None = argument("what is there: path to keywords of mtree", default=None)
    absent: tuple[str, ...] = argument("pattern of paths that must not be there", default=())
    contains: dict[str, tuple[str, ...]] | None = argument(
        "regular expressions that a file's text has to match", default=None
    )
    lacks: dict[str, tuple[str, ...]] | None = argument(
        "regular expressions that a file's text must not match", default=None
    )


class NoNodeError(UserError):
    """At a path is nothing, or nothing of the type that it has to have."""


def faults(root: Directory, arguments: Arguments) -> Iterator[str]:
    """Yields a line for everything that is not as the arguments say."""
    for path, expected in (arguments.present or {}).items():
        yield from _metadata_faults(root, path, expected)
    for pattern in arguments.absent:
        for name in _matches(root, pattern):
            yield f"{pattern}: must not be there, but {name} is"
    contains, lacks = arguments.contains or {}, arguments.lacks or {}
    for path in dict.fromkeys([*contains, *lacks]):
        yield from _text_faults(root, path, contains.get(path, ()), lacks.get(path, ()))


def _text_faults(root: Directory, path: str, contains: Sequence[str], lacks: Sequence[str]) -> Iterator[str]:
    try:
        content = text(root, path)
    except NoNodeError as error:
        yield str(error)
        return
    for pattern in contains:
        if not re.search(pattern, content, re.MULTILINE):
            yield f"{path}: nothing in it matches {pattern!r}"
    for pattern in lacks:
        if match := re.search(pattern, content, re.MULTILINE):
            yield f"{path}: must not match {pattern!r}, but {match[0]!r} does"


def _find(root: Directory, path: str, *, follow: bool = False) -> Node:
    """Returns the node at a path.

    Raises:
        NoNodeError: there is none, or a component is no directory.
    """
    parts = components(path)
    try:
        node = lookup(root, parts, follow=follow)
    except UserError as error:
        raise NoNodeError(f"{path}: is missing: {error}") from error
    if node is None:
        raise NoNodeError(_missing(root, path))
    return node


def _missing(root: Directory, path: str) -> str:
    """Returns that a path is missing, and the path of what has a similar name where the missing name would be."""
    import difflib  # noqa: PLC0415 - every check would start later, and only this fault needs it

    parts, folder = components(path), root
    for number, part in enumerate(parts):
        node = lookup(root, parts[: number + 1], follow=True)
        if isinstance(node, Directory):
            folder = node
            continue
        place = "".join(f"/{escaped(each)}" for each in parts[:number])
        if isinstance(link := folder.entries.get(part), Symlink):
            return (
                f"{path}: is missing: {place}/{escaped(part)} is a link to {escaped(link.target)}, which is not there"
            )
        close = difflib.get_close_matches(escaped(part), map(escaped, folder.entries), 1)
        return f"{path}: is missing" + (f"; did you mean {place}/{close[0]}?" if close else "")
    return f"{path}: is missing"


def _metadata_faults(root: Directory, path: str, expected: str) -> Iterator[str]:
    try:
        node = _find(root, path)
    except NoNodeError as error:
        yield str(error)
        return
    actual = keywords(node)
    for word in expected.split():
        keyword, _, value = word.partition("=")
        if keyword == "capabilities":
            yield from _capability_faults(node, path, value)
            continue
        if keyword not in ("type", "mode", "uid", "gid", "size", "link"):
            raise UserError(f"{path}: {word!r} is not one of type=, mode=, uid=, gid=, size=, link=, capabilities=")
        if actual.get(keyword) != value:
            yield f"{path}: has {keyword}={actual.get(keyword, 'none')}, not {value}"


def _capability_faults(node: Node, path: str, expected: str) -> Iterator[str]:
    try:
        wanted = capability.from_text(expected) if expected else b""
    except ValueError as error:
        raise UserError(f"{path}: {expected!r} {error}") from error
    value = node.xattrs.get(capability.NAME, b"")
    if value != wanted:
        yield f"{path}: has {f'capabilities 0x{value.hex()}' if value else 'no capabilities'}, not {expected or 'none'}"


def _matches(root: Directory, pattern: str) -> list[str]:
    try:
        return [escaped(name) for _, name in select(root, pattern)]
    except UserError:  # what stands before the first special character is missing too
        return []


def text(root: Directory, path: str) -> str:
    """Returns a file's content as text.

    Raises:
        NoNodeError: there is no such file.
        UserError: it is larger than what is read whole.
    """
    node = _find(root, path, follow=True)
    if not isinstance(node, File):
        raise NoNodeError(f"{path}: is no file but a {type_name(node)}; give the path of a file")
    return read_small(node, path).decode(errors="backslashreplace")


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: something is not as the arguments say.
    """
    origin = arguments.image if arguments.partition is None else f"partition {arguments.partition}"
    root = read_tree(open_partition(arguments.image, arguments.partition), origin)
    found = list(faults(root, arguments))
    for fault in found:
        print(escaped(fault), flush=True)  # the error comes after it, in a log of both outputs, too
    given = (arguments.present, arguments.absent, arguments.contains, arguments.lacks)
    checks = sum(len(each or ()) for each in given)
    if not checks:
        raise UserError("there is nothing to check: give --present, --absent, --contains or --lacks")
    if found:
        raise CheckError(f"{origin}: {len(found)} faults, see the lines above")
    print(f"{origin}: {checks} checks passed")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
