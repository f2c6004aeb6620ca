"""Writes a tree as the image of a SquashFS file system."""

from __future__ import annotations

import struct
from typing import Any

from tools.image.compression import Encoder, Remember, unchanged
from tools.image.extents import Data, Extent, FileRange, Image
from tools.image.rawfile import Progress, no_progress
from tools.image.spool import Spool
from tools.squashfs.compression import COMPRESSIONS, encoder
from tools.squashfs.data import DataWriter
from tools.squashfs.directory import Entry, write_listing
from tools.squashfs.format import NO_TABLE, SUPERBLOCK_SIZE, Flag, Superblock
from tools.squashfs.inode import DeviceInode, DirectoryInode, FileInode, Inode, SymlinkInode
from tools.squashfs.inventory import Inventory, take_inventory
from tools.squashfs.item import Item, Stored
from tools.squashfs.metadata import MetadataWriter, pack_offsets, pack_table
from tools.squashfs.node_type import type_of
from tools.squashfs.options import SIZE_UNIT, SquashfsOptions
from tools.squashfs.xattr import XattrTable
from tools.tree.capacity import CapacityError
from tools.tree.device_number import pack_device
from tools.tree.node import Device, Directory, File, Symlink

_SECOND = 10**9
_MOST_LISTING = 2**32 - 4
"""Bytes of a listing: an inode has 32 bits for them and 3 more."""

_RAW = Flag.RAW_INODES | Flag.RAW_DATA | Flag.RAW_FRAGMENTS | Flag.RAW_XATTRS | Flag.RAW_IDS


def write_squashfs(
    root: Directory,
    options: SquashfsOptions,
    *,
    spool: Spool | None = None,
    threads: int | None = None,
    remember: Remember = unchanged,
    progress: Progress = no_progress,
) -> Image:
    """Returns the image of a SquashFS file system that holds a tree.

    The image depends only on the tree and the options. Contents are compressed here, into a temporary file that the
    image refers to; memory doesn't grow with them. Modification times are kept in whole seconds; there are no others.
    A node under several names becomes one inode with hard links. The file system is exportable (NFS).

    Args:
        root: the tree.
        options: the file system's parameters.
        spool: an empty one for the compressed contents; by default one in the folder for temporary files.
        threads: how many blocks are compressed at once; by default as many as there are processors, up to 4.
        remember: makes an encoder that knows some results, as `PieceStore` does; not used without compression.
        progress: called with the number of bytes of contents that were compressed since the last call.

    Raises:
        UserError: SquashFS cannot store something in the tree.
        CapacityError: the tree doesn't fit in the size.
    """
    inventory = take_inventory(root, options)
    encode = encoder(options.compression, options.used_level)
    if options.compression != "none":
        encode = remember(encode, f"squashfs {options.compression} {options.used_level}")
    xattrs = _number_attributes(inventory, encode)
    spool = spool or Spool()
    data = DataWriter(spool, SUPERBLOCK_SIZE, options.block_size, encode)
    data.write(inventory.items, threads, progress)
    start = SUPERBLOCK_SIZE + data.size
    superblock, metadata = _metadata(inventory, options, data, xattrs, encode)
    needed = -(-superblock.bytes_used // SIZE_UNIT) * SIZE_UNIT
    size = needed if options.size is None else options.size
    if size < needed:
        raise CapacityError(f"squashfs: the tree does not fit in {size} bytes", needed)
    head = Extent(0, SUPERBLOCK_SIZE, Data(superblock.pack()))
    contents = Extent(SUPERBLOCK_SIZE, data.size, FileRange(spool))
    return Image(size, [head, contents, Extent(start, len(metadata), Data(metadata))])


def _number_attributes(inventory: Inventory, encode: Encoder) -> XattrTable:
    """Returns the table of extended attributes, and sets the number of each item's."""
    table = XattrTable(encode)
    for item in inventory.items:
        if item.node.xattrs:
            try:
                item.xattrs = table.add(item.node.xattrs)
            except ValueError as error:
                raise item.fault(str(error)) from None
    return table


def _metadata(
    inventory: Inventory, options: SquashfsOptions, data: DataWriter, xattrs: XattrTable, encode: Encoder
) -> tuple[Superblock, bytes]:
    """Returns the superblock, and all that follows the contents of files."""
    inodes, directories = _write_inodes(inventory, encode)
    items = inventory.items
    parts = _Parts(SUPERBLOCK_SIZE + data.size, encode)
    inode_table = parts.add(inodes)
    directory_table = parts.add(directories)
    fragment_table = parts.add_table(bytes(data.fragments))
    export_table = parts.add_table(struct.pack(f"<{len(items)}Q", *(item.reference or 0 for item in items)))
    id_table = parts.add_table(struct.pack(f"<{len(inventory.ids)}I", *inventory.ids))
    flags = Flag.ALWAYS_FRAGMENTS | Flag.DUPLICATES | Flag.EXPORTABLE
    xattr_table = NO_TABLE
    if xattrs.is_empty:
        flags |= Flag.NO_XATTRS
    else:
        packed, xattr_table = xattrs.pack(parts.end)
        parts.add(packed)
    if options.compression == "none":
        flags |= _RAW
    superblock = Superblock(
        inodes=len(items),
        time=max(item.node.mtime_ns for item in items) // _SECOND,
        block_size=options.block_size,
        fragments=data.fragment_count,
        compression=COMPRESSIONS[options.compression].number,
        flags=flags,
        ids=len(inventory.ids),
        root=items[0].reference or 0,
        bytes_used=parts.end,
        id_table=id_table,
        xattr_table=xattr_table,
        inode_table=inode_table,
        directory_table=directory_table,
        fragment_table=fragment_table,
        export_table=export_table,
    )
    return superblock, bytes(parts.data)


class _Parts:
    """Puts the parts after the contents of files one behind the other.

    Attributes:
        data: the parts.
        end: offset of the end of the last one.
    """

    def __init__(self, start: int, encode: Encoder) -> None:
        self.data = bytearray()
        self._start = start
        self._encode = encode

    @property
    def end(self) -> int:
        return self._start + len(self.data)

    def add(self, part: bytes) -> int:
        """Adds a part; returns its offset."""
        offset = self.end
        self.data += part
        return offset

    def add_table(self, content: bytes) -> int:
        """Adds a table and its index; returns the offset of the index."""
        blocks, offsets = pack_table(content, self.end, self._encode)
        self.add(blocks)
        return self.add(pack_offsets(offsets))


def _write_inodes(inventory: Inventory, encode: Encoder) -> tuple[bytes, bytes]:
    """Returns the inode table and the directory table, and sets the references of all items.

    A listing refers to the inodes of its entries, and a directory's inode to its listing. So directories are written in
    the order in which each one's parent is later, and each after the files in it.
    """
    inodes, listings = MetadataWriter(encode), MetadataWriter(encode)
    for item in reversed(inventory.items):
        if not isinstance(item.node, Directory):
            continue
        entries = []
        for name, node in item.node.sorted_entries():
            child = inventory.index[node]
            if child.reference is None:
                child.reference = inodes.append(_inode(child, inventory).pack())
            entries.append(Entry(name, child.reference, child.number, type_of(node)))
        listing = write_listing(entries, listings)
        if listing.size > _MOST_LISTING:
            raise item.fault(f"the directory's names take {listing.size} bytes, more than {_MOST_LISTING}")
        parent = item.parent.number if item.parent else len(inventory.items) + 1
        inode = DirectoryInode(
            **_common(item, inventory),
            start=listing.reference >> 16,
            offset=listing.reference & 0xFFFF,
            size=listing.size,
            parent=parent,
            index=listing.index,
            index_count=listing.index_count,
        )
        item.reference = inodes.append(inode.pack())
    return inodes.finish(), listings.finish()


def _inode(item: Item, inventory: Inventory) -> Inode:
    """Returns the inode of an item that is no directory."""
    common = _common(item, inventory)
    match item.node:
        case File(content=content):
            stored = item.stored or Stored()
            return FileInode(
                **common,
                start=stored.start,
                size=content.size,
                sparse=stored.sparse,
                fragment=stored.fragment,
                offset=stored.offset,
                blocks=stored.blocks,
            )
        case Symlink(target=target):
            return SymlinkInode(**common, target=target)
        case Device(major=major, minor=minor):
            return DeviceInode(**common, device=pack_device(major, minor))
    return Inode(**common)


def _common(item: Item, inventory: Inventory) -> dict[str, Any]:
    """Returns the fields that the inodes of all types have."""
    node = item.node
    return {
        "type": type_of(node),
        "permissions": node.permissions,
        "uid": inventory.ids[node.uid],
        "gid": inventory.ids[node.gid],
        "mtime": node.mtime_ns // _SECOND,
        "number": item.number,
        "links": item.links,
        "xattrs": item.xattrs,
    }
