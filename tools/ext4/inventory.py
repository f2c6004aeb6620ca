"""Lists the inodes of a tree, checks them, and tells what each of them stores."""

from __future__ import annotations

from collections.abc import Iterator

from tools.ext4.directory_blocks import DirectoryPacker
from tools.ext4.format.constants import LINK_MAX, MAX_LOGICAL_BLOCKS, InodeFlag
from tools.ext4.format.extent_tree import EMPTY_ROOT
from tools.ext4.format.inode import POINTER_SIZE, time_limit
from tools.ext4.format.xattr import PackedAttributes, pack_attributes
from tools.ext4.numbering import Numbering
from tools.ext4.options import Ext4Options
from tools.image.extents import Image
from tools.tree.device_number import pack_device
from tools.tree.layer import Overlay
from tools.tree.node import Device, Directory, File, Node, Symlink

_NANOSECONDS = 10**9
_MIN_TIME = -(2**31)
_MAX_ID = 2**32 - 2
_MAX_PERMISSIONS = 0o7777
_MAX_MAJOR, _MAX_MINOR = 2**12 - 1, 2**20 - 1
_OLD_DEVICE_LIMIT = 256
_MAX_DIRECTORY = 2**32 - 1
"""Maximum size of a directory in bytes: a larger one needs the feature large_dir, which boot loaders don't support."""

_NO_POINTER = bytes(POINTER_SIZE)
_NO_ATTRIBUTES = PackedAttributes(b"", b"")


class Inventory:
    """The inodes of a tree, and what they store, by their rows.

    Only what the nodes don't have is in memory: blocks of directories and packed attributes.

    Attributes:
        inodes: the inodes.
        base_blocks: the directories of the base that the overlay changes, with the numbers of blocks that their
            contents have in the base.
    """

    def __init__(self, numbering: Numbering, options: Ext4Options) -> None:
        """Starts without contents and attributes; `take_inventory` adds them."""
        self.inodes = numbering.inodes
        self.base_blocks: dict[int, int] = {}
        self._options = options
        self._contents: dict[int, Image] = {}
        self._indexed: set[int] = set()
        self._attributes: dict[tuple[tuple[bytes, bytes], ...], PackedAttributes] = {}

    @property
    def is_layered(self) -> bool:
        """Whether the tree differs from the base."""
        return bool(self.inodes.overlay) or 0 in self.inodes.links

    @property
    def has_attribute_blocks(self) -> bool:
        """Whether an inode has attributes in a block of their own."""
        return any(packed.block for packed in self._attributes.values())

    def content(self, row: int) -> Image | None:
        """Returns what is stored in blocks; None for an inode that never has blocks."""
        node = self.inodes.nodes[row]
        return node.content if isinstance(node, File) else self._contents.get(row)

    def base_contents(self) -> Iterator[tuple[int, Image]]:
        """Yields rows and contents of the base in the order of their blocks: directories and links, then files."""
        base = self.inodes.base
        for row in sorted(self._contents):
            if row in base:
                yield row, self._contents[row]
        for row in base:
            node = self.inodes.nodes[row]
            if isinstance(node, File):
                yield row, node.content

    def size(self, row: int) -> int:
        """Returns the size in bytes (i_size)."""
        node = self.inodes.nodes[row]
        if isinstance(node, Symlink):
            return len(node.target)
        content = self.content(row)
        return content.size if content else 0

    def flags(self, row: int) -> int:
        """Returns `InodeFlag` values (i_flags)."""
        if self.content(row) is None:
            return 0
        return InodeFlag.EXTENTS | InodeFlag.INDEX if row in self._indexed else InodeFlag.EXTENTS

    def pointer(self, row: int) -> bytes:
        """Returns the 60 bytes of i_block for an inode that has no blocks."""
        match self.inodes.nodes[row]:
            case File():
                return EMPTY_ROOT
            case Symlink(target=target):
                return target.ljust(POINTER_SIZE, b"\0")
            case Device() as device:
                return _pack_device(device)
        return _NO_POINTER

    def attributes(self, row: int) -> PackedAttributes:
        """Returns the packed extended attributes."""
        xattrs = self.inodes.nodes[row].xattrs
        return self._attributes[_key(xattrs)] if xattrs else _NO_ATTRIBUTES

    def add_attributes(self, row: int) -> None:
        """Packs the extended attributes of a row.

        Raises:
            UserError: they don't fit, or ext4 can't store one.
        """
        xattrs = self.inodes.nodes[row].xattrs
        key = _key(xattrs)
        if key not in self._attributes:
            try:
                self._attributes[key] = pack_attributes(xattrs, self._options.inode_size, self._options.block_size)
            except ValueError as error:
                raise self.inodes.fault(row, str(error)) from None

    def add_content(self, row: int, content: Image, *, is_indexed: bool = False) -> None:
        """Sets what a directory or a symbolic link stores in blocks."""
        self._contents[row] = content
        if is_indexed:
            self._indexed.add(row)


def take_inventory(root: Directory, options: Ext4Options, overlay: Overlay | None = None) -> Inventory:
    """Returns the inodes of a tree.

    Without an overlay, a directory's children have consecutive numbers, and directories follow one another as a walk of
    the tree finds them, so that inodes and contents which are used together are near each other. With an overlay, this
    holds for the base as it is without the overlay; see `tools.ext4.numbering`.

    Raises:
        UserError: ext4 cannot hold something in the tree; names its path.
    """
    numbering = Numbering(root, options, overlay or {})
    inventory = Inventory(numbering, options)
    filler = _Filler(inventory, options, numbering)
    inodes = inventory.inodes
    for row in inodes.live:
        node = inodes.nodes[row]
        filler.check(row, node)
        filler.fill(row, node)
        if node.xattrs:
            inventory.add_attributes(row)
    for row in inodes.base:
        if not inodes.links[row]:
            filler.fill(row, inodes.nodes[row])
    return inventory


class _Filler:
    """Checks inodes, and adds their contents to an inventory."""

    def __init__(self, inventory: Inventory, options: Ext4Options, numbering: Numbering) -> None:
        self.inventory = inventory
        self.inodes = inventory.inodes
        self.numbering = numbering
        self.packer = DirectoryPacker(options, numbering)
        self.block_size = options.block_size
        self.inode_size = options.inode_size
        self.time_end = time_limit(options.inode_size) * _NANOSECONDS
        self.content_end = MAX_LOGICAL_BLOCKS * options.block_size

    def check(self, row: int, node: Node) -> None:
        """Raises a `UserError` if a value is out of the range of the inode's field."""
        fault = self.inodes.fault
        if not (0 <= node.uid <= _MAX_ID and 0 <= node.gid <= _MAX_ID):
            raise fault(row, f"owner {node.uid}:{node.gid} is not between 0 and {_MAX_ID}")
        if not 0 <= node.permissions <= _MAX_PERMISSIONS:
            raise fault(row, f"permissions {node.permissions:#o} are more than {_MAX_PERMISSIONS:#o}")
        if not _MIN_TIME * _NANOSECONDS <= node.mtime_ns < self.time_end:
            raise fault(
                row,
                f"time {node.mtime_ns // _NANOSECONDS} is out of the range of inodes of {self.inode_size} bytes: "
                f"{_MIN_TIME} to {self.time_end // _NANOSECONDS - 1}",
            )
        links = self.inodes.links[row]
        if links > LINK_MAX and not isinstance(node, Directory):
            raise fault(row, f"it has {links} hard links, but ext4 allows {LINK_MAX}")

    def fill(self, row: int, node: Node) -> None:
        """Adds the content of a node, after a check of what it depends on."""
        if isinstance(node, File):
            self._check_size(row, node)
        elif isinstance(node, Directory):
            self._fill_directory(row)
        elif isinstance(node, Symlink):
            self._fill_symlink(row, node)
        elif isinstance(node, Device):
            self._check_device(row, node)

    def _check_size(self, row: int, node: File) -> None:
        size = node.content.size
        if size > self.content_end:
            what = f"size of {size} bytes is more than {self.content_end}, the maximum with this block size"
            raise self.inodes.fault(row, what)

    def _fill_directory(self, row: int) -> None:
        if not self.inodes.links[row] or (row in self.inodes.base and self.numbering.is_changed(row)):
            self.inventory.base_blocks[row] = self.packer.base_blocks(row)
        if self.inodes.links[row]:
            content, is_indexed = self.packer.content(row)
        else:  # a placeholder, whose blocks stay free
            content, is_indexed = Image.from_bytes(bytes(self.inventory.base_blocks[row] * self.block_size)), False
        if content.size > _MAX_DIRECTORY:
            what = f"its entries need {content.size} bytes, but a directory can have {_MAX_DIRECTORY}"
            raise self.inodes.fault(row, what)
        self.inventory.add_content(row, content, is_indexed=is_indexed)
        if self.inodes.links[row] > LINK_MAX:
            self.inodes.links[row] = 1

    def _fill_symlink(self, row: int, node: Symlink) -> None:
        target = node.target
        if not target or b"\0" in target:
            raise self.inodes.fault(row, "a symbolic link's target is empty or has a NUL")
        if len(target) >= self.block_size:
            what = f"a symbolic link's target of {len(target)} bytes is longer than {self.block_size - 1}"
            raise self.inodes.fault(row, what)
        if len(target) >= POINTER_SIZE:
            self.inventory.add_content(row, Image.from_bytes(target))

    def _check_device(self, row: int, node: Device) -> None:
        major, minor = node.major, node.minor
        if not (0 <= major <= _MAX_MAJOR and 0 <= minor <= _MAX_MINOR):
            what = f"device number {major}:{minor} is more than {_MAX_MAJOR}:{_MAX_MINOR}"
            raise self.inodes.fault(row, what)


def _key(xattrs: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Returns what is the same for all nodes with the same attributes."""
    return tuple(sorted(xattrs.items()))


def _pack_device(node: Device) -> bytes:
    """Returns i_block of a device: the number in the old 16-bit encoding if it fits, else in the new 32-bit one."""
    major, minor = node.major, node.minor
    if major < _OLD_DEVICE_LIMIT and minor < _OLD_DEVICE_LIMIT:
        words = (major << 8 | minor).to_bytes(4, "little")
    else:
        words = bytes(4) + pack_device(major, minor).to_bytes(4, "little")
    return words.ljust(POINTER_SIZE, b"\0")
