"""Assembles a root tree from a specification."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.image.rawfile import open_raw
from tools.rootfs.accounts import Databases
from tools.rootfs.accounts import merge as merge_accounts
from tools.rootfs.executables import check_executables
from tools.rootfs.file_metadata import parse_owner, set_metadata
from tools.rootfs.sha512crypt import derived_salt, sha512crypt
from tools.rootfs.sysusers import parse_sysusers
from tools.rootfs.tree_spec import AccountsSpec, Entry, LayerSpec, RootfsArguments, StripSpec
from tools.rootfs.units import check_units
from tools.tree.compare import node_differences
from tools.tree.layer import NOT_COMPARED, Layer, placed_under
from tools.tree.merge import Directories, merge
from tools.tree.metadata import clamp_times, set_owner, set_times
from tools.tree.node import Directory, File, Node, Symlink
from tools.tree.paths import components, directory_at, lookup
from tools.tree.select import Place, remove, select, strip
from tools.tree.selinux import FileContexts, label_tree
from tools.tree.tar_reader import read_archive

_HOLE = 1 << 20
"""Size in bytes from which zeros in a source become a hole. It depends only on the content, since copies of a file (in
caches and sandboxes) lose or gain holes; and only disk images and the like have as many zeros in a row."""

_DATABASES = ("passwd", "group", "shadow", "gshadow")


def assemble(spec: RootfsArguments, origin: str) -> Directory:
    """Returns the tree of a specification; file contents are ranges of the inputs.

    Args:
        spec: the specification.
        origin: name of the specification, with which each message begins.

    Raises:
        UserError: an input can't be read, or conflicts with another; or a program cannot start.
    """
    return assemble_layers(spec, origin).root


def assemble_layers(spec: RootfsArguments, origin: str, own_directories: Iterable[bytes] = ()) -> Layer:
    """Returns the tree of a specification, and in `overlay` what is not from the base.

    The base is the first layer, if it is an archive: what is declared file by file changes more often.

    Args:
        spec: the specification.
        origin: name of the specification, with which each message begins.
        own_directories: names of directories that the file system adds to its root, such as lost+found. If there are
            file contexts, these directories are added to the tree, so that they get a label.

    Raises:
        UserError: an input can't be read, or conflicts with another; or a program cannot start.
    """
    with _located(origin):
        return _assembled(spec, origin, own_directories)


def _assembled(spec: RootfsArguments, origin: str, own_directories: Iterable[bytes]) -> Layer:
    tree = Layer.empty(origin)
    layers = (*spec.layers, *(LayerSpec(archive=path) for path in spec.layer))
    for index, layer in enumerate(layers):
        merge(tree, _layer(layer, spec.drop_keyword), layer.overrides, Directories(layer.directories))
        if not index and layer.archive and not layer.entries:
            tree.overlay.clear()
        set_metadata(tree.root, layer.metadata, layer.label or layer.archive)
    if spec.accounts is not None:
        for database in _DATABASES:
            tree.record_change((b"etc", database.encode()))
        with _located(spec.accounts.label):
            add_accounts(tree.root, spec.accounts)
    _strip(tree.root, (StripSpec("", list(spec.strip_paths)), *spec.strip), spec.partial)
    check_executables(tree.root, spec.executables)
    check_units(tree.root, spec.units, {layer.label for layer in layers if layer.entries})
    with _located("subdir"):
        subdir = components(spec.subdir)
        root = _below(tree.root, subdir, spec.partial)
    for name in own_directories if spec.file_contexts else ():
        root.entries.setdefault(name, Directory(permissions=0o700))
    (clamp_times if spec.clamp_mtime else set_times)(root, spec.mtime * 10**9)
    if spec.file_contexts:
        contexts = FileContexts.read(spec.file_contexts, spec.file_contexts_subs)
        label_tree(root, contexts, b"/" + b"/".join(subdir))
    return Layer(origin, root, tree.implied, tree.overlay)


@contextlib.contextmanager
def _located(where: str) -> Iterator[None]:
    """Puts the place of a value, if it has one, before the message of a `UserError` in the block."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{where}: {error}" if where else str(error)) from error


def _strip(root: Directory, specs: Iterable[StripSpec], partial: bool) -> None:
    """Removes paths from the complete tree, or those of a part that it has; all are looked up before any is removed."""
    places: list[Place] = []
    for spec in specs:
        for pattern in spec.paths:
            refused = contextlib.suppress(UserError) if partial else contextlib.nullcontext()
            with refused, _located(f"{spec.label}: strip_paths" if spec.label else "strip_paths"):
                places += select(root, pattern)
    remove(places)


def _below(root: Directory, parts: tuple[bytes, ...], partial: bool) -> Directory:
    """Returns a directory of the tree; a part of a tree that lacks it has an empty one."""
    try:
        return directory_at(root, parts)
    except UserError:
        if partial:
            return Directory()
        raise


def _layer(spec: LayerSpec, drop_keywords: Collection[str]) -> Layer:
    layer = read_archive(spec.archive, spec.label, drop_keywords) if spec.archive else Layer.empty(spec.label)
    try:
        before: dict[tuple[bytes, ...], tuple[Entry, Node]] = {}
        above: dict[tuple[bytes, ...], Entry] = {}
        for entry in spec.entries:
            if entry.type == "files":
                layer.directory(components(entry.path))
            for each in _files(entry) if entry.type == "files" else (entry,):
                parts, node = components(each.path), _node(each)
                _check_same(*before.setdefault(parts, (each, node)), each, node)
                _check_place(before, above, each, parts)
                layer.add(parts, node)
        strip(layer.root, spec.strip_paths)
        if spec.owner:
            set_owner(layer.root, *parse_owner(spec.owner))
        return placed_under(layer, components(spec.prefix))
    except UserError as error:
        raise UserError(f"{layer.label}: {error}") from error


def _check_same(one: Entry, one_node: Node, other: Entry, other_node: Node) -> None:
    """Raises a `UserError` if two entries of a layer with the same path are different."""
    fields = [name for name, _, _ in node_differences(one_node, other_node, NOT_COMPARED)]
    if fields:
        raise UserError(
            f"{one.path}: is given twice, by {_description(one)} and by {_description(other)}, with different "
            f"{', '.join(fields)}; remove one"
        )


def _check_place(
    before: Mapping[tuple[bytes, ...], tuple[Entry, Node]],
    above: dict[tuple[bytes, ...], Entry],
    entry: Entry,
    parts: tuple[bytes, ...],
) -> None:
    """Raises a `UserError` if a path is that of a file of the same layer and also a directory of another entry.

    Args:
        before: the entries so far, and this one, by their paths.
        above: the directories above the entries so far, with one entry of each; those of this one are added.
        entry: the entry.
        parts: its path.
    """
    if parts in above and isinstance(before[parts][1], File):
        raise _not_below(entry, above[parts])
    for length in range(1, len(parts)):
        place = before.get(parts[:length])
        if place and isinstance(place[1], File):
            raise _not_below(place[0], entry)
        above.setdefault(parts[:length], entry)


def _not_below(file: Entry, below: Entry) -> UserError:
    return UserError(
        f"{file.path}: is a file, {_description(file)}, but {_description(below)} is to be below it, at {below.path}; "
        "correct one of the two paths"
    )


def _description(entry: Entry) -> str:
    match entry.type:
        case "symlink":
            return f"a link to {entry.target}"
        case "directory":
            return "a directory"
    return entry.source or "an empty file"


def _files(entry: Entry) -> Iterator[Entry]:
    """Yields an entry for each file below an entry's source, in the order of their paths.

    Raises:
        UserError: the source is not a directory, a directory of it cannot be read, or it has what is neither a file nor
            a directory.
    """
    if not os.path.isdir(entry.source):
        raise UserError(f"{entry.source}: is not a directory, but all files of it are to be at {entry.path}")
    for folder, folders, names in os.walk(entry.source, onerror=_refuse, followlinks=True):
        folders.sort()
        below = os.path.relpath(folder, entry.source)
        for name in sorted(names):
            source = os.path.join(folder, name)
            if not os.path.isfile(source):
                raise UserError(f"{source}: is neither a file nor a directory, or a link that leads to neither")
            path = os.path.normpath(os.path.join(entry.path, below, name))
            yield replace(entry, path=path, type="file", source=source)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _node(entry: Entry) -> Node:
    node: Node
    if entry.type == "directory":
        node = Directory(permissions=_permissions(entry, 0o755))
    elif entry.type == "symlink":
        node = Symlink(permissions=_permissions(entry, 0o777), target=entry.target.encode())
    else:
        content = _source(entry.source) if entry.source else Image.from_bytes(b"")
        node = File(permissions=_permissions(entry, 0o644), content=content)
    node.uid, node.gid = entry.uid, entry.gid
    return node


def _source(path: str) -> Image:
    """Returns the content of a file of this machine; zeros of `_HOLE` bytes at a multiple of that become holes."""
    image = Image.from_file(path)
    return open_raw(path, _HOLE) if image.size >= _HOLE else image


def _permissions(entry: Entry, default: int) -> int:
    if not entry.mode:
        return default
    try:
        mode = int(entry.mode, 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise UserError(f"{entry.path}: mode {entry.mode!r} is not octal digits up to 7777")
    return mode


def add_accounts(root: Directory, accounts: AccountsSpec) -> None:
    """Adds accounts to a tree's /etc/passwd, group, shadow and gshadow.

    The salt of a password is derived from the account and the password, so that the result is reproducible.

    Raises:
        UserError: an account conflicts with an existing one, a file is missing or invalid, or a password cannot be
            hashed.
    """
    nodes = [_file(root, f"etc/{name}", "accounts", "add a layer with it, such as the packages") for name in _DATABASES]
    before = Databases(*map(_text, nodes))
    for path in accounts.sysusers:
        file = _file(root, path, "sysusers", "correct the path, or add the file, such as by extra_files")
        wanted = parse_sysusers(_text(file), path)
        before = merge_accounts(before, wanted, {}, path)
    hashes = {name: _hash(name, clear) for name, clear in accounts.passwords.items()}
    after = merge_accounts(before, parse_sysusers("", ""), hashes, "passwords")
    for name, node in zip(_DATABASES, nodes, strict=True):
        node.content = Image.from_bytes(getattr(after, name).encode("utf-8", "surrogateescape"))


def _hash(account: str, password: str) -> str:
    try:
        return sha512crypt(password, derived_salt(account, password))
    except ValueError as error:
        raise UserError(f"passwords: that of {account} cannot be hashed: {error}") from error


def _file(root: Directory, path: str, where: str, remedy: str) -> File:
    node = lookup(root, components(path), follow=True)
    if not isinstance(node, File):
        raise UserError(f"{where}: /{path.lstrip('/')} is not a file in the tree; {remedy}")
    return node


def _text(file: File) -> str:
    return file.content.read(0, file.content.size).decode("utf-8", "surrogateescape")
