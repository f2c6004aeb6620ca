"""Assigns inode numbers to a tree's nodes, checks them, and builds directories and packed attributes."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.core.errors import UserError
from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.constants import FIRST_INODE, LINK_MAX, LOST_AND_FOUND, MAX_LOGICAL_BLOCKS, ROOT_INODE, InodeFlag
from tools.ext4.format.directory import Entry, dirent_type, name_fault, pack_block
from tools.ext4.format.extent_tree import EMPTY_ROOT
from tools.ext4.format.htree import pack_directory
from tools.ext4.format.inode import POINTER_SIZE, inode_seed, time_limit
from tools.ext4.format.xattr import PackedAttributes, pack_attributes
from tools.ext4.options import Ext4Options
from tools.image.extents import Image
from tools.tree.compare import printable
from tools.tree.node import Device, Directory, File, Node, Symlink

_NO_ATTRIBUTES = PackedAttributes(b"", b"")
_NANOSECONDS = 10**9
_MIN_TIME = -(2**31)
_MAX_ID = 2**32 - 2
_MAX_PERMISSIONS = 0o7777
_MAX_MAJOR, _MAX_MINOR = 2**12 - 1, 2**20 - 1
_OLD_DEVICE_LIMIT = 256
_MAX_DIRECTORY = 2**32 - 1
"""Maximum size of a directory in bytes: a larger one needs the feature large_dir, which boot loaders don't support."""

_LOST_AND_FOUND_SIZE = 16384
"""Size of lost+found in bytes; preallocated, as by mke2fs, so that e2fsck need not allocate blocks to use it."""


@dataclass(slots=True, eq=False)
class Item:
    """An inode to be written.

    Attributes:
        node: the node of the tree that it is for.
        number: inode number.
        parent: the directory with its first name; None for the root.
        name: its first name.
        links: link count (i_links_count).
        entries: the entries of a directory, without `.` and `..`.
        size: size in bytes (i_size).
        flags: `InodeFlag` values (i_flags).
        pointer: the 60 bytes of i_block, for an inode that needs no blocks.
        content: what is stored in blocks, or None.
        attributes: the packed extended attributes.
    """

    node: Node
    number: int
    parent: Item | None
    name: bytes
    links: int = 1
    entries: list[Entry] = field(default_factory=list)
    size: int = 0
    flags: int = 0
    pointer: bytes = bytes(POINTER_SIZE)
    content: Image | None = None
    attributes: PackedAttributes = _NO_ATTRIBUTES

    @property
    def path(self) -> str:
        """The path through its first name, escaped for messages."""
        names = []
        item = self
        while item.parent is not None:
            names.append(item.name)
            item = item.parent
        return printable(b"/".join(reversed(names)))

    def fault(self, what: str) -> UserError:
        """Returns an error about this item; the message has its path and the archive that it is from."""
        origin = f" (from {self.node.origin})" if self.node.origin else ""
        return UserError(f"ext4: {self.path}{origin}: {what}")


def take_inventory(root: Directory, options: Ext4Options) -> list[Item]:
    """Returns the inodes of a tree in order of their numbers, the root and lost+found first.

    A directory's children have consecutive numbers, and directories follow one another as a walk of the tree finds
    them, so that inodes and contents which are used together are near each other.

    Raises:
        UserError: ext4 cannot hold something in the tree; names its path.
    """
    items = _number(root, options)
    filler = _Filler(options)
    for item in items:
        filler.check(item)
        filler.fill(item)
    return items


def _number(root: Directory, options: Ext4Options) -> list[Item]:
    """Returns an item for each node of a tree, with inode number, link count and, for directories, entries."""
    top = Item(root, ROOT_INODE, None, b"")
    spare = Directory(permissions=0o700, mtime_ns=options.timestamp * _NANOSECONDS)
    lost_and_found = Item(root.entries.get(LOST_AND_FOUND, spare), FIRST_INODE, top, LOST_AND_FOUND)
    if not isinstance(lost_and_found.node, Directory):
        raise lost_and_found.fault("this name is reserved for a directory; rename it in the tree")
    items = [top, lost_and_found]
    known: dict[Node, Item] = {root: top}
    stack = [top]
    while stack:
        directory = stack.pop()
        node = directory.node
        assert isinstance(node, Directory)
        children = node.entries if directory is not top else {**node.entries, LOST_AND_FOUND: lost_and_found.node}
        below: list[Item] = []
        directory.links = 2
        for name, child in sorted(children.items()):
            if fault := name_fault(name):
                raise Item(child, 0, directory, name).fault(fault)
            item = known.get(child)
            if item is None:
                is_given = child is lost_and_found.node and directory is top
                item = lost_and_found if is_given else Item(child, FIRST_INODE + len(items) - 1, directory, name)
                known[child] = item
                if not is_given:
                    items.append(item)
                if isinstance(child, Directory):
                    below.append(item)
                    directory.links += 1
            elif isinstance(child, Directory):
                raise Item(child, 0, directory, name).fault(f"hard link to the directory {item.path} is not possible")
            else:
                item.links += 1
            directory.entries.append(Entry(name, item.number, dirent_type(child.file_type)))
        stack += reversed(below)
    return items


class _Filler:
    """Checks items, and sets the fields that depend on the file system's parameters."""

    def __init__(self, options: Ext4Options) -> None:
        self.block_size = options.block_size
        self.inode_size = options.inode_size
        self.hash_seed = options.seed
        self.checksum_seed = file_system_seed(options.uuid.bytes) if options.metadata_csum else None
        self.time_end = time_limit(options.inode_size) * _NANOSECONDS
        self.content_end = MAX_LOGICAL_BLOCKS * options.block_size
        self.packed: dict[tuple[tuple[bytes, bytes], ...], PackedAttributes] = {}

    def check(self, item: Item) -> None:
        """Raises a `UserError` if a value is out of the range of the inode's field."""
        node = item.node
        if not (0 <= node.uid <= _MAX_ID and 0 <= node.gid <= _MAX_ID):
            raise item.fault(f"owner {node.uid}:{node.gid} is not between 0 and {_MAX_ID}")
        if not 0 <= node.permissions <= _MAX_PERMISSIONS:
            raise item.fault(f"permissions {node.permissions:#o} are more than {_MAX_PERMISSIONS:#o}")
        if not _MIN_TIME * _NANOSECONDS <= node.mtime_ns < self.time_end:
            raise item.fault(
                f"time {node.mtime_ns // _NANOSECONDS} is out of the range of inodes of {self.inode_size} bytes: "
                f"{_MIN_TIME} to {self.time_end // _NANOSECONDS - 1}"
            )
        if item.links > LINK_MAX and not isinstance(node, Directory):
            raise item.fault(f"it has {item.links} hard links, but ext4 allows {LINK_MAX}")

    def fill(self, item: Item) -> None:
        """Sets size, flags, pointer, content and attributes."""
        node = item.node
        if isinstance(node, File):
            self._fill_file(item, node)
        elif isinstance(node, Directory):
            self._fill_directory(item)
        elif isinstance(node, Symlink):
            self._fill_symlink(item, node)
        elif isinstance(node, Device):
            item.pointer = _pack_device(item, node)
        if node.xattrs:
            item.attributes = self._attributes(item)

    def _fill_file(self, item: Item, node: File) -> None:
        item.content = node.content
        item.size = node.content.size
        item.flags = InodeFlag.EXTENTS
        item.pointer = EMPTY_ROOT
        if item.size > self.content_end:
            raise item.fault(
                f"size of {item.size} bytes is more than {self.content_end}, the maximum with this block size"
            )

    def _fill_directory(self, item: Item) -> None:
        block_size = self.block_size
        seed = None if self.checksum_seed is None else inode_seed(self.checksum_seed, item.number)
        parent = item.parent.number if item.parent else ROOT_INODE
        blocks, is_indexed = pack_directory(
            item.entries, item.number, parent, block_size=block_size, hash_seed=self.hash_seed, seed=seed
        )
        if item.number == FIRST_INODE and not is_indexed:
            spare = (_LOST_AND_FOUND_SIZE - len(blocks)) // block_size
            blocks += pack_block([], block_size, seed) * spare
        item.content = Image.from_bytes(blocks)
        item.size = len(blocks)
        item.flags = InodeFlag.EXTENTS | InodeFlag.INDEX if is_indexed else InodeFlag.EXTENTS
        if item.size > _MAX_DIRECTORY:
            raise item.fault(f"its entries need {item.size} bytes, but a directory can have {_MAX_DIRECTORY}")
        if item.links > LINK_MAX:
            item.links = 1

    def _fill_symlink(self, item: Item, node: Symlink) -> None:
        target = node.target
        item.size = len(target)
        if not target or b"\0" in target:
            raise item.fault("a symbolic link's target is empty or has a NUL")
        if len(target) >= self.block_size:
            raise item.fault(f"a symbolic link's target of {len(target)} bytes is longer than {self.block_size - 1}")
        if len(target) < POINTER_SIZE:
            item.pointer = target.ljust(POINTER_SIZE, b"\0")
        else:
            item.content = Image.from_bytes(target)
            item.flags = InodeFlag.EXTENTS

    def _attributes(self, item: Item) -> PackedAttributes:
        """Returns the packed extended attributes; cached, since many inodes have the same SELinux label."""
        key = tuple(sorted(item.node.xattrs.items()))
        if key not in self.packed:
            try:
                self.packed[key] = pack_attributes(item.node.xattrs, self.inode_size, self.block_size)
            except ValueError as error:
                raise item.fault(str(error)) from None
        return self.packed[key]


def _pack_device(item: Item, node: Device) -> bytes:
    """Returns i_block of a device: the number in the old 16-bit encoding if it fits, else in the new 32-bit one."""
    major, minor = node.major, node.minor
    if not (0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR):
        raise item.fault(f"device number {major}:{minor} is more than {_MAX_MAJOR}:{_MAX_MINOR}")
    if major < _OLD_DEVICE_LIMIT and minor < _OLD_DEVICE_LIMIT:
        words = (major << 8 | minor).to_bytes(4, "little")
    else:
        words = bytes(4) + ((minor & 0xFF) | major << 8 | (minor & ~0xFF) << 12).to_bytes(4, "little")
    return words.ljust(POINTER_SIZE, b"\0")
