"""Writes a tree as the image of an EROFS file system without compression."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from tools.erofs.directory import Entry, pack_directory
from tools.erofs.format import (
    BLOCK_SIZE,
    FILE_TYPES,
    NULL_ADDRESS,
    SLOT_SIZE,
    SUPERBLOCK_OFFSET,
    SUPERBLOCK_SIZE,
    Compat,
    Incompat,
    Inode,
    Layout,
    Superblock,
    superblock_checksum,
)
from tools.erofs.inventory import Inventory, take_inventory
from tools.erofs.item import Item
from tools.erofs.options import ErofsOptions
from tools.erofs.placement import Placement, place
from tools.erofs.xattr import count_of
from tools.image.extents import Data, Extent, Image
from tools.tree.capacity import CapacityError
from tools.tree.device_number import pack_device
from tools.tree.node import Device, Directory, File

_SECOND = 10**9
_NEAR = 64
"""Pieces of metadata with less between them, in bytes, become one extent."""


def write_erofs(root: Directory, options: ErofsOptions) -> Image:
    """Returns the image of an EROFS file system that holds a tree.

    The image depends only on the arguments. It refers to file contents as ranges of their sources. Holes in files stay
    holes; where that makes the file system smaller, they have no blocks, and kernels before 5.15 can't read it.

    Modification times are kept; EROFS has no others. A node under several names becomes one inode with hard links.

    Args:
        root: the tree, which must not change while the image is in use.
        options: the file system's parameters.

    Raises:
        UserError: EROFS cannot store something in the tree.
        CapacityError: the tree doesn't fit in the size.
    """
    inventory = take_inventory(root)
    area_end = SUPERBLOCK_OFFSET + SUPERBLOCK_SIZE + len(inventory.shared.area)
    placement = place(inventory, -(-area_end // BLOCK_SIZE))
    needed = placement.blocks * BLOCK_SIZE
    size = needed if options.size is None else options.size
    if size < needed:
        raise CapacityError(f"erofs: the tree does not fit in {size} bytes", needed)
    head = Data(_head(inventory, placement, options, size // BLOCK_SIZE))
    extents = [Extent(SUPERBLOCK_OFFSET, len(head.data), head)]
    run = _Run(extents)
    for item in sorted(inventory.items, key=lambda item: item.nid):
        if isinstance(item.node, Directory):
            item.content = Image.from_bytes(_pack_entries(item, item.node, inventory))
        offset = placement.metadata_block * BLOCK_SIZE + item.nid * SLOT_SIZE
        run.add(offset, _pack_item(item))
        if _has_tail(item) and isinstance(item.node, File):
            run.end()
        extents += _content_extents(item, offset)
    run.end()
    return Image(size, extents)


class _Run:
    """Joins pieces of metadata that are near each other to one extent; zeros are between them."""

    def __init__(self, extents: list[Extent]) -> None:
        """Begins without a piece; what is joined goes to the end of a list."""
        self._extents = extents
        self._start = 0
        self._data = bytearray()

    def add(self, offset: int, data: bytes) -> None:
        """Adds a piece behind those before it."""
        gap = offset - self._start - len(self._data)
        if self._data and gap < _NEAR:
            self._data += bytes(gap) + data
        else:
            self.end()
            self._start = offset
            self._data += data

    def end(self) -> None:
        """Makes an extent of the pieces since the last one."""
        if self._data:
            self._extents.append(Extent(self._start, len(self._data), Data(bytes(self._data))))
            self._data.clear()


def _has_tail(item: Item) -> bool:
    return item.layout == Layout.FLAT_INLINE


def _head(inventory: Inventory, placement: Placement, options: ErofsOptions, blocks: int) -> bytes:
    """Returns superblock and shared attributes of a file system of a number of blocks."""
    superblock = Superblock(
        feature_compat=Compat.SB_CHKSUM | Compat.MTIME,
        feature_incompat=_incompat(inventory.items),
        root_nid=inventory.items[0].nid,
        inodes=len(inventory.items),
        build_time=inventory.time_ns // _SECOND,
        build_time_ns=inventory.time_ns % _SECOND,
        blocks=blocks,
        metadata_block=placement.metadata_block,
        uuid=options.uuid.bytes,
        label=options.label.encode(),
    )
    block = (superblock.pack() + inventory.shared.area)[: BLOCK_SIZE - SUPERBLOCK_OFFSET]
    checksum = superblock_checksum(block.ljust(BLOCK_SIZE - SUPERBLOCK_OFFSET, b"\0"))
    return replace(superblock, checksum=checksum).pack() + inventory.shared.area


def _incompat(items: list[Item]) -> int:
    return Incompat.CHUNKED_FILE if any(item.layout == Layout.CHUNK_BASED for item in items) else 0


def _pack_entries(item: Item, directory: Directory, inventory: Inventory) -> bytes:
    """Returns the content of a directory."""
    parent = inventory.index[item.parent.node] if item.parent else item
    kind = FILE_TYPES[directory.file_type]
    entries = [Entry(b".", item.nid, kind), Entry(b"..", parent.nid, kind)]
    for name, node in directory.entries.items():
        entries.append(Entry(name, inventory.index[node].nid, FILE_TYPES[node.file_type]))
    return pack_directory(sorted(entries))


def _pack_item(item: Item) -> bytes:
    """Returns an inode with its attributes, the addresses of its chunks, and the tail, unless it is that of a file."""
    node = item.node
    place = item.block
    if isinstance(node, Device):
        place = pack_device(node.major, node.minor)
    elif item.layout == Layout.CHUNK_BASED:
        place = item.chunk_bits
    inode = Inode(
        layout=item.layout,
        xattr_count=count_of(item.attributes),
        mode=node.mode,
        links=item.links,
        size=item.size,
        place=place,
        number=item.number,
        uid=node.uid,
        gid=node.gid,
        mtime=node.mtime_ns // _SECOND if item.is_extended else None,
        mtime_ns=node.mtime_ns % _SECOND,
    )
    after = b""
    if item.layout == Layout.CHUNK_BASED:
        after = _pack_table(item)
    elif _has_tail(item) and item.content is not None and not isinstance(node, File):
        after = item.content.read(item.size - item.size % BLOCK_SIZE, item.size % BLOCK_SIZE)
    return inode.pack() + item.attributes + after


def _pack_table(item: Item) -> bytes:
    """Returns the block addresses of the chunks of a file."""
    table = bytearray(NULL_ADDRESS.to_bytes(4, "little") * item.chunk_count)
    for index, chunk in enumerate(item.chunks):
        address = item.block + (index << item.chunk_bits)
        table[4 * chunk : 4 * chunk + 4] = address.to_bytes(4, "little")
    return bytes(table)


def _content_extents(item: Item, offset: int) -> Iterator[Extent]:
    """Yields the content of an item where it is stored, except for the tails of others than files.

    Args:
        item: the item.
        offset: of its inode.
    """
    if item.content is None:
        return
    start = item.block * BLOCK_SIZE
    match item.layout:
        case Layout.FLAT_PLAIN:
            yield from (extent.moved(start) for extent in item.content.extents)
        case Layout.FLAT_INLINE:
            whole = item.size - item.size % BLOCK_SIZE
            yield from (extent.moved(start) for extent in item.content.overlapping(0, whole))
            if isinstance(item.node, File):
                tail = offset + item.head_size
                yield from (extent.moved(tail - whole) for extent in item.content.overlapping(whole, item.size))
        case Layout.CHUNK_BASED:
            for index, first, count in _chunk_runs(item.chunks):
                begin, end = first * BLOCK_SIZE << item.chunk_bits, (first + count) * BLOCK_SIZE << item.chunk_bits
                distance = start + (index * BLOCK_SIZE << item.chunk_bits) - begin
                yield from (extent.moved(distance) for extent in item.content.overlapping(begin, end))


def _chunk_runs(chunks: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yields the runs of consecutive chunks with data: index in the list, number of the first chunk, and length."""
    ends = [index for index, (one, next_one) in enumerate(pairwise(chunks), 1) if next_one != one + 1]
    for begin, end in pairwise([0, *ends, len(chunks)] if chunks else []):
        yield begin, chunks[begin], end - begin
