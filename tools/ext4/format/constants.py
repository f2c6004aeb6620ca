"""Numbers of the ext4 on-disk format that several modules share.

Source of the format, here and in the other modules: "ext4 Data Structures and Algorithms" in the Linux kernel's
documentation (Documentation/filesystems/ext4), and fs/ext4/ext4.h where that page is silent.
"""

from __future__ import annotations

import enum
import stat

SUPERBLOCK_OFFSET = 1024
SUPERBLOCK_SIZE = 1024
MAGIC = 0xEF53

BLOCK_SIZES = (1024, 2048, 4096)
"""The block sizes that every page size of Linux and every boot loader reads."""

ROOT_INODE = 2
JOURNAL_INODE = 8
FIRST_INODE = 11
"""The first inode that isn't reserved; by custom it is that of lost+found."""

LOST_AND_FOUND = b"lost+found"

NAME_MAX = 255
LINK_MAX = 65000
"""The most links an inode may have. A directory of more counts 1 instead (feature dir_nlink)."""

MAX_LOGICAL_BLOCKS = 2**32 - 1
"""The most blocks, holes included, that a file may have: the last block number is reserved."""

SECTOR = 512
"""The unit in which inodes count the space they use."""


class Compat(enum.IntFlag):
    """Features that a driver may ignore."""

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
    """Features that a driver must know to read the file system."""

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
    """Features that a driver must know to write to the file system."""

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
    VERITY = 0x8000
    ORPHAN_PRESENT = 0x10000


def feature_names(kind: type[enum.IntFlag], word: int) -> list[str]:
    """Returns the names of the features in one of the three words; those without a name here as numbers."""
    names = {flag.value: (flag.name or "").lower() for flag in kind}
    return [names.get(1 << bit, hex(1 << bit)) for bit in range(word.bit_length()) if word >> bit & 1]


class InodeFlag:
    """Flags of an inode (i_flags); plain numbers, as are those of groups, since there are so many of both."""

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
"""The type that a directory entry repeats, by the file type bits of the mode."""
