"""Hypothesis strategies for trees, for property tests of writers."""

from __future__ import annotations

import struct
from typing import Any

from hypothesis import strategies as st

from tools.image.extents import Data, Extent, Image
from tools.tree.node import NAME_MAX, Device, Directory, Fifo, File, Node, Socket, Symlink

EXT4_TIMES = (-(2**31) * 10**9, (2**34 - 2**31) * 10**9 - 1)
"""The range of times of an ext4 inode of 256 bytes, in nanoseconds: 34 bits of seconds from -2**31 on."""

_SHORT = [b"a", b"b", b"c", b"lib", b".hidden", b"with space", b"new\nline", b"back\\slash", b"\xff"]
_LONG = [
    start.ljust(length, b"n")
    for start in (b"x", b"\xc3\xa4", b"\xfe")
    for length in (15, 16, 99, 100, 101, 155, 254, NAME_MAX)
]
_IDS = st.sampled_from([0, 0, 1, 1000, 65535, 65536, 2097151, 2097152, 2**32 - 2])
_PERMISSIONS = st.one_of(st.sampled_from([0o644, 0o755, 0o4755, 0o2755, 0o1777]), st.integers(0, 0o7777))
_DEVICE_NUMBERS = st.sampled_from([(0, 0), (1, 3), (8, 255), (255, 256), (4095, 2**20 - 1)])
_LABEL = (b"security.selinux", b"system_u:object_r:etc_t:s0\0")


def names() -> st.SearchStrategy[bytes]:
    """Returns a strategy for names: mostly from a few short ones, so that trees share them; also long and non-UTF-8."""
    wild = st.binary(min_size=1, max_size=20).map(_as_name)
    return st.one_of(st.sampled_from(_SHORT), st.sampled_from(_LONG), wild)


def _as_name(data: bytes) -> bytes:
    name = data.translate(None, b"/\0")
    return b"w" if name in (b"", b".", b"..") else name


def sizes(block: int, most: int) -> st.SearchStrategy[int]:
    """Returns a strategy for file sizes in bytes, mostly around multiples of the block size."""
    near = sorted({count * block + by for count in range(most // block + 1) for by in (-1, 0, 1)})
    return st.one_of(st.sampled_from([size for size in (0, 1, *near) if 0 <= size <= most]), st.integers(0, most))


def contents(block: int = 4096, most: int = 1 << 16) -> st.SearchStrategy[Image]:
    """Returns a strategy for file contents: empty, dense or with holes; data differs between bytes and files."""
    bounds = st.one_of(st.none(), st.lists(sizes(block, most), max_size=6, unique=True).map(sorted))
    return st.builds(_content, sizes(block, most), bounds, st.integers(0, 250))


def _content(size: int, bounds: list[int] | None, seed: int) -> Image:
    """Returns a content with data from each even bound to the next bound, or without holes if `bounds` is None."""
    pattern = bytes((seed + 7 * index) % 251 + 1 for index in range(251))  # no zeros, to detect lost blocks
    pairs = [(0, size)] if bounds is None else zip(bounds[::2], bounds[1::2], strict=False)
    ranges = ((begin, min(end, size)) for begin, end in pairs if begin < size)
    return Image(size, [Extent(b, e - b, Data((pattern * ((e - b) // 251 + 1))[: e - b])) for b, e in ranges])


def xattrs(*, inode_kind: type[Node], space: int = 1000) -> st.SearchStrategy[dict[bytes, bytes]]:
    """Returns a strategy for extended attributes that Linux permits for a type of node, of at most `space` bytes."""
    spaces = [b"trusted.", b"security."] + [b"user."] * (inode_kind in (File, Directory))
    name = st.builds(
        lambda start, rest: start + rest.replace(b"\0", b"0"),
        st.sampled_from(spaces),
        st.binary(min_size=1, max_size=12),
    )
    value = st.one_of(st.binary(max_size=40), st.integers(0, 600).map(lambda length: b"v" * length))
    usual = st.sampled_from([(), (), (_LABEL,)])
    if inode_kind is File:  # linux/capability.h: revision 2, effective flag, permitted mask
        masks = st.integers(0, 2**32 - 1)
        capability = masks.map(lambda mask: ((b"security.capability", struct.pack("<5I", 0x02000001, mask, 0, 0, 0)),))
        usual = st.one_of(usual, usual, capability)
    some = st.one_of(st.just({}), st.just({}), st.dictionaries(name, value, max_size=5))
    return st.builds(lambda wild, known: _limited(wild | dict(known), space), some, usual)


def _limited(xattrs: dict[bytes, bytes], space: int) -> dict[bytes, bytes]:
    while sum(len(name) + len(value) for name, value in xattrs.items()) > space:
        xattrs.popitem()
    return xattrs


def leaves(
    block: int = 4096,
    most: int = 1 << 16,
    *,
    times: tuple[int, int] = EXT4_TIMES,
    sockets: bool = True,
    xattr_space: int = 1000,
) -> st.SearchStrategy[Node]:
    """Returns a strategy for nodes except for directories; see `trees` for the parameters."""

    def common(kind: type[Node]) -> dict[str, st.SearchStrategy[Any]]:
        return _metadata(kind, times, xattr_space)

    starts = st.sampled_from([b"t", b"/usr/lib", b"../a", b"a//b/", b"\xff", b"new\nline"])
    # 59 bytes is the maximum that fits in an ext4 inode.
    targets = st.builds(
        bytes.ljust, starts, st.sampled_from([1, 2, 59, 60, 61, 99, 100, 101, 600, 1023]), st.just(b"t")
    )
    devices = st.builds(
        lambda numbers, **rest: Device(major=numbers[0], minor=numbers[1], **rest),
        _DEVICE_NUMBERS,
        block=st.booleans(),
        **common(Device),
    )
    files = st.builds(File, content=contents(block, most), **common(File))
    links = st.builds(Symlink, target=targets, **(common(Symlink) | {"permissions": st.just(0o777)}))
    fifos = st.builds(Fifo, **common(Fifo))
    kinds: list[st.SearchStrategy[Any]] = [files, files, files, links, devices, fifos]
    return st.one_of(kinds + [st.builds(Socket, **common(Socket))] * sockets)


def _metadata(kind: type[Node], times: tuple[int, int], xattr_space: int) -> dict[str, st.SearchStrategy[Any]]:
    """Returns the strategies for the fields of all nodes."""
    return {
        "permissions": _PERMISSIONS,
        "uid": _IDS,
        "gid": _IDS,
        "mtime_ns": st.one_of(st.just(max(0, times[0])), st.integers(*times)),
        "xattrs": xattrs(inode_kind=kind, space=xattr_space) if xattr_space else st.builds(dict),
    }


def trees(
    *,
    block: int = 4096,
    most: int = 1 << 16,
    nodes: int = 25,
    times: tuple[int, int] = EXT4_TIMES,
    sockets: bool = True,
    xattr_space: int = 1000,
) -> st.SearchStrategy[Directory]:
    """Returns a strategy for trees with all types of nodes, hard links, owners, times and extended attributes.

    Args:
        block: block size in bytes; most file sizes are around its multiples.
        most: maximum file size in bytes.
        nodes: maximum number of nodes, besides the root.
        times: earliest and latest modification time, in nanoseconds since the epoch.
        sockets: whether there are sockets, which a tar can't store.
        xattr_space: maximum size of the extended attributes of a node in bytes.
    """
    directory = st.builds(Directory, **_metadata(Directory, times, xattr_space))
    leaf = leaves(block, most, times=times, sockets=sockets, xattr_space=xattr_space)
    index = st.integers(0, 1 << 16)  # of the parent or the linked node, modulo their number
    step = st.tuples(index, names(), st.one_of(directory, leaf, leaf, leaf, index))
    return st.builds(_assembled, directory, st.lists(step, max_size=nodes))


def _assembled(root: Directory, steps: list[tuple[int, bytes, Node | int]]) -> Directory:
    directories, others = [root], list[Node]()
    for parent, name, what in steps:
        entries = directories[parent % len(directories)].entries
        if name in entries or (isinstance(what, int) and not others):
            continue
        node = others[what % len(others)] if isinstance(what, int) else what
        entries[name] = node
        if isinstance(node, Directory):
            directories.append(node)
        elif not isinstance(what, int):
            others.append(node)
    return root
