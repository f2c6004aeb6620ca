"""Lists the inodes of a tree, checks them, and builds directories and packed attributes."""

from __future__ import annotations

from dataclasses import dataclass, field

from tools.ext4.format.checksum import file_system_seed
from tools.ext4.format.constants import FIRST_INODE, LINK_MAX, MAX_LOGICAL_BLOCKS, ROOT_INODE, InodeFlag
from tools.ext4.format.directory import Entry, pack_block
from tools.ext4.format.extent_tree import EMPTY_ROOT
from tools.ext4.format.htree import pack_directory
from tools.ext4.format.inode import POINTER_SIZE, inode_seed, time_limit
from tools.ext4.format.xattr import PackedAttributes, pack_attributes
from tools.ext4.item import Item
from tools.ext4.numbering import Numbering
from tools.ext4.options import Ext4Options
from tools.image.extents import Image
from tools.tree.layer import Overlay
from tools.tree.node import Device, Directory, File, Symlink

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


@dataclass(frozen=True, slots=True)
class Inventory:
    """The inodes of a tree.

    Attributes:
        items: the inodes in order of their numbers, the root and lost+found first.
        base: the inodes of the base in order of their numbers, including those without links: these are nodes that the
            overlay replaces, and their numbers and blocks stay free. Empty if there is no overlay.
        overlay: the other inodes.
    """

    items: list[Item]
    base: list[Item] = field(default_factory=list)
    overlay: list[Item] = field(default_factory=list)

    @property
    def last(self) -> int:
        """The highest inode number in use."""
        return self.items[-1].number


def take_inventory(root: Directory, options: Ext4Options, overlay: Overlay | None = None) -> Inventory:
    """Returns the inodes of a tree.

    Without an overlay, a directory's children have consecutive numbers, and directories follow one another as a walk of
    the tree finds them, so that inodes and contents which are used together are near each other. With an overlay, this
    holds for the base as it is without the overlay; see `tools.ext4.numbering`.

    Raises:
        UserError: ext4 cannot hold something in the tree; names its path.
    """
    numbering = Numbering(root, options, overlay or {})
    filler = _Filler(options, numbering)
    items = [item for item in numbering.base if item.links]
    for item in items + numbering.overlay:
        filler.check(item)
        filler.fill(item)
    replaced = [item for item in numbering.base if not item.links]
    for item in replaced:
        filler.fill_content(item)
    if not numbering.overlay and not replaced:
        return Inventory(items)
    for item in numbering.overlay:
        item.base_blocks = 0
    return Inventory(items + numbering.overlay, numbering.base, numbering.overlay)


class _Filler:
    """Checks items, and sets the fields that depend on the file system's parameters."""

    def __init__(self, options: Ext4Options, numbering: Numbering) -> None:
        self.numbering = numbering
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
        self.fill_content(item)
        if item.node.xattrs:
            item.attributes = self._attributes(item)

    def fill_content(self, item: Item) -> None:
        """Sets size, flags, pointer and content."""
        node = item.node
        if isinstance(node, File):
            self._fill_file(item, node)
        elif isinstance(node, Directory):
            self._fill_directory(item)
        elif isinstance(node, Symlink):
            self._fill_symlink(item, node)
        elif isinstance(node, Device):
            item.pointer = _pack_device(item, node)

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
        if item.links:
            blocks, is_indexed = self._pack_directory(item, self.numbering.entries(item))
        if not item.links or self.numbering.is_changed(item):
            base, _ = self._pack_directory(item, self.numbering.base_entries(item))
            item.base_blocks = len(base) // self.block_size
        if not item.links:
            blocks, is_indexed = base, False
        item.content = Image.from_bytes(blocks)
        item.size = len(blocks)
        item.flags = InodeFlag.EXTENTS | InodeFlag.INDEX if is_indexed else InodeFlag.EXTENTS
        if item.size > _MAX_DIRECTORY:
            raise item.fault(f"its entries need {item.size} bytes, but a directory can have {_MAX_DIRECTORY}")
        if item.links > LINK_MAX:
            item.links = 1

    def _pack_directory(self, item: Item, entries: list[Entry]) -> tuple[bytes, bool]:
        """Returns the blocks of a directory with the given entries, and whether it is indexed."""
        seed = None if self.checksum_seed is None else inode_seed(self.checksum_seed, item.number)
        parent = item.parent.number if item.parent else ROOT_INODE
        blocks, is_indexed = pack_directory(
            entries, item.number, parent, block_size=self.block_size, hash_seed=self.hash_seed, seed=seed
        )
        if item.number == FIRST_INODE and not is_indexed:
            spare = (_LOST_AND_FOUND_SIZE - len(blocks)) // self.block_size
            blocks += pack_block([], self.block_size, seed) * spare
        return blocks, is_indexed

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
