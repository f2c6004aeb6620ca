"""Lists the inodes of a tree, and decides how each is stored."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tools.erofs.chunks import choose_chunks
from tools.erofs.directory import directory_size
from tools.erofs.format import BLOCK_SIZE, SUPERBLOCK_OFFSET, SUPERBLOCK_SIZE, Layout, fits_compact
from tools.erofs.item import Item
from tools.erofs.xattr import SharedAttributes, count_attributes
from tools.image.extents import Image
from tools.tree.node import Device, Directory, File, Node, Symlink
from tools.tree.numbering import number_nodes

_MAX_ID = 2**32 - 1
_MAX_PERMISSIONS = 0o7777
_MAX_MAJOR, _MAX_MINOR = 2**12 - 1, 2**20 - 1
_MAX_SIZE = 2**63 - 1
_SECOND = 10**9
_TIMES = (-(2**63) * _SECOND, 2**63 * _SECOND)


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inodes of a tree.

    Attributes:
        items: the inodes. The children of a directory follow one another, and directories follow as a walk finds them.
        index: the item of each node.
        time_ns: the modification time that most nodes have, in nanoseconds since the epoch: that of compact inodes.
        shared: the shared attributes, stored after the superblock.
    """

    items: list[Item]
    index: dict[Node, Item]
    time_ns: int
    shared: SharedAttributes


def take_inventory(root: Directory) -> Inventory:
    """Returns the inodes of a tree.

    Raises:
        UserError: EROFS cannot hold something in the tree; names its path.
    """
    index = number_nodes(root, Item)
    items = list(index.values())
    for item in items:
        _check(item)
    counts = Counter(item.node.mtime_ns for item in items)
    time_ns = max(counts, key=lambda time: (counts[time], -time))
    shared = _shared_attributes(items)
    packed: dict[tuple[tuple[bytes, bytes], ...], bytes] = {}
    for item in items:
        _fill_content(item)
        compact = fits_compact(uid=item.node.uid, gid=item.node.gid, links=item.links, size=item.size)
        item.is_extended = not compact or item.node.mtime_ns != time_ns
        if item.node.xattrs:
            key = tuple(sorted(item.node.xattrs.items()))
            if key not in packed:
                try:
                    packed[key] = shared.pack(item.node.xattrs)
                except ValueError as error:
                    raise item.fault(str(error)) from None
            item.attributes = packed[key]
        _choose_layout(item)
    return Inventory(items, index, time_ns, shared)


def _check(item: Item) -> None:
    """Raises a `UserError` if a value is out of the range of the inode's field."""
    node = item.node
    if not (0 <= node.uid <= _MAX_ID and 0 <= node.gid <= _MAX_ID):
        raise item.fault(f"owner {node.uid}:{node.gid} is not between 0 and {_MAX_ID}")
    if not 0 <= node.permissions <= _MAX_PERMISSIONS:
        raise item.fault(f"permissions {node.permissions:#o} are more than {_MAX_PERMISSIONS:#o}")
    if not _TIMES[0] <= node.mtime_ns < _TIMES[1]:
        raise item.fault(f"time {node.mtime_ns // _SECOND} does not fit in 64 bits")
    if isinstance(node, Device) and not (0 <= node.major <= _MAX_MAJOR and 0 <= node.minor <= _MAX_MINOR):
        raise item.fault(f"device number {node.major}:{node.minor} is more than {_MAX_MAJOR}:{_MAX_MINOR}")


def _shared_attributes(items: list[Item]) -> SharedAttributes:
    counts = count_attributes(item.node.xattrs for item in items)
    try:
        return SharedAttributes(counts, SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE)
    except ValueError:
        _find_attribute_fault(items)
        raise


def _find_attribute_fault(items: list[Item]) -> None:
    """Raises a `UserError` for the first item with an attribute that cannot be stored."""
    for item in items:
        try:
            SharedAttributes(count_attributes([item.node.xattrs]), 0)
        except ValueError as error:
            raise item.fault(str(error)) from None


def _fill_content(item: Item) -> None:
    """Sets size and content."""
    node = item.node
    if isinstance(node, File):
        item.content = node.content
        item.size = node.content.size
        if item.size > _MAX_SIZE:
            raise item.fault(f"size of {item.size} bytes is more than {_MAX_SIZE}")
    elif isinstance(node, Directory):
        item.size = directory_size(sorted([b".", b"..", *node.entries]))
    elif isinstance(node, Symlink):
        if not node.target or b"\0" in node.target:
            raise item.fault("a symbolic link's target is empty or has a NUL")
        if len(node.target) >= BLOCK_SIZE:
            raise item.fault(f"a symbolic link's target of {len(node.target)} bytes is longer than {BLOCK_SIZE - 1}")
        item.content = Image.from_bytes(node.target)
        item.size = len(node.target)


def _choose_layout(item: Item) -> None:
    """Sets layout and chunks: chunks for a file with holes that makes smaller, else the tail inline if it fits."""
    if isinstance(item.node, File) and (chunks := choose_chunks(item.node.content)):
        item.layout = Layout.CHUNK_BASED
        item.chunk_bits, item.chunks = chunks
    elif item.size % BLOCK_SIZE and item.head_size + item.size % BLOCK_SIZE <= BLOCK_SIZE:
        item.layout = Layout.FLAT_INLINE
