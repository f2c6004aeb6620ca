"""The journal of a file system that was never mounted: only its first block, the journal superblock, has data.

See "Journal (jbd2)" in Linux Documentation/filesystems/ext4. Numbers in the journal are big-endian.
"""

from __future__ import annotations

import struct

from tools.core.errors import UserError
from tools.ext4.format.constants import SUPERBLOCK_SIZE
from tools.ext4.geometry import NoRoomError
from tools.ext4.options import Ext4Options

_SUPERBLOCK = struct.Struct(">12I16sI")
_MAGIC = 0xC03B3998
_SUPERBLOCK_V2 = 4
_MIN_BLOCKS = 1024
_MAX_BLOCKS = 10_240_000
_MIN_FILE_SYSTEM = 2048
_DEFAULTS = (
    (32768, 1024),
    (256 * 1024, 4096),
    (512 * 1024, 8192),
    (4096 * 1024, 16384),
    (8192 * 1024, 32768),
    (16384 * 1024, 65536),
    (32768 * 1024, 131072),
)
_LARGEST_DEFAULT = 262144


def journal_blocks(options: Ext4Options, blocks: int) -> int:
    """Returns the length of the journal in blocks; 0 without a journal.

    Args:
        options: the file system's parameters.
        blocks: size of the file system, in blocks.

    Raises:
        UserError: the requested size is out of range.
        NoRoomError: the file system is too small for any journal.
    """
    if not options.journal:
        return 0
    if options.journal_size is not None:
        wanted = options.journal_size // options.block_size
        if not _MIN_BLOCKS <= wanted <= _MAX_BLOCKS:
            least, most = _MIN_BLOCKS * options.block_size, _MAX_BLOCKS * options.block_size
            raise UserError(f"ext4: journal size {options.journal_size} is not between {least} and {most} bytes")
        return wanted
    if blocks < _MIN_FILE_SYSTEM:
        raise NoRoomError
    return next((size for limit, size in _DEFAULTS if blocks < limit), _LARGEST_DEFAULT)


def pack_journal_superblock(block_size: int, blocks: int, uuid: bytes) -> bytes:
    """Packs the superblock (version 2) of an empty journal, 1024 bytes.

    Args:
        block_size: in bytes.
        blocks: length of the journal, in blocks.
        uuid: the file system's UUID, 16 bytes.
    """
    errors = features = 0
    first, sequence, start, users = 1, 1, 0, 1
    packed = _SUPERBLOCK.pack(
        _MAGIC, _SUPERBLOCK_V2, 0, block_size, blocks, first, sequence, start, errors, features, features, features,
        uuid, users,
    )  # fmt: skip
    return packed.ljust(SUPERBLOCK_SIZE, b"\0")
