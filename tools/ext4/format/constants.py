"""Constants of the ext4 on-disk format.

The format, here and in the other modules, is as in "ext4 Data Structures and Algorithms" (Linux
Documentation/filesystems/ext4), and in fs/ext4/ext4.h where that lacks something.
"""

from __future__ import annotations

import enum
import stat

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024
MAGIC = 0xEF53

BLOCK_SIZES = (1024, 2048, 4096)
"""The block sizes that Linux reads with every page size, and that every boot loader reads."""

ROOT_INODE = 2
JOURNAL_INODE = 8
FIRST_INODE = 11
"""The first inode that isn't reserved; by convention that of lost+found."""

LOST_AND_FOUND = b"lost+found"

NAME_MAX = 255
LINK_MAX = 65000
"""Maximum link count. A directory with more links has the count 1 (feature dir_nlink)."""

MAX_LOGICAL_BLOCKS = 2**32 - 1
"""Maximum number of blocks of a file, including holes: the last block number is reserved."""

SECTOR = 512
"""The unit of i_blocks, in bytes."""


class Compat(enum.IntFlag):
    """Compatible features (s_feature_compat): a driver may ignore them."""

    DIR_PREALLOC = 0x1
    IMAGIC_INODES = 0x2
    HAS_JOURNAL = 0x4
    EXT_ATTR = 0x8
    RESIZE_INODE = 0x10
    DIR_INDEX = 0x20
    SPARSE_SUPER2 = 0x200
    FAST_COMMIT = 0x400
    STABLE_INODES = 0x800
    ORPHAN_FILE = 0x1000


class Incompat(enum.IntFlag):
    """Incompatible features (s_feature_incompat): a driver must support them to read the file system."""

    COMPRESSION = 0x1
    FILETYPE = 0x2
    RECOVER = 0x4
    JOURNAL_DEV = 0x8
    META_BG = 0x10
    EXTENTS = 0x40
    BIT64 = 0x80
    MMP = 0x100
    FLEX_BG = 0x200
    EA_INODE = 0x400
    DIRDATA = 0x1000
    CSUM_SEED = 0x2000
    LARGEDIR = 0x4000
    INLINE_DATA = 0x8000
    ENCRYPT = 0x10000
    CASEFOLD = 0x20000


class RoCompat(enum.IntFlag):
    """Read-only compatible features (s_feature_ro_compat): a driver must support them to write."""

    SPARSE_SUPER = 0x1
    LARGE_FILE = 0x2
    BTREE_DIR = 0x4
    HUGE_FILE = 0x8
    GDT_CSUM = 0x10
    DIR_NLINK = 0x20
    EXTRA_ISIZE = 0x40
    QUOTA = 0x100
    BIGALLOC = 0x200
    METADATA_CSUM = 0x400
    READONLY = 0x1000
    PROJECT = 0x2000
    SHARED_BLOCKS = 0x4000
    VERITY = 0x8000
    ORPHAN_PRESENT = 0x10000


def feature_names(kind: type[enum.IntFlag], word: int) -> list[str]:
    """Returns the names of the features in a feature word; of unknown ones the hexadecimal value."""
    names = {flag.value: (flag.name or "").lower() for flag in kind}
    return [names.get(1 << bit, hex(1 << bit)) for bit in range(word.bit_length()) if word >> bit & 1]


class InodeFlag:
    """Flags of an inode (i_flags); plain integers, since `enum.IntFlag` is too slow for millions of inodes."""

    INDEX = 0x1000
    HUGE_FILE = 0x40000
    EXTENTS = 0x80000
    EA_INODE = 0x200000
    INLINE_DATA = 0x10000000


class GroupFlag:
    """Flags of a block group (bg_flags)."""

    INODE_UNINIT = 0x1
    BLOCK_UNINIT = 0x2
    INODE_ZEROED = 0x4


DIRENT_TYPE = {
    stat.S_IFREG: 1,
    stat.S_IFDIR: 2,
    stat.S_IFCHR: 3,
    stat.S_IFBLK: 4,
    stat.S_IFIFO: 5,
    stat.S_IFSOCK: 6,
    stat.S_IFLNK: 7,
}
"""Maps the file type bits of the mode to the file type in a directory entry."""
