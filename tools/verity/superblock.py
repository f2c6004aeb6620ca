"""Packs and parses the superblock before a dm-verity hash tree.

See https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity ("Verity superblock format") for the format, and Linux
Documentation/admin-guide/device-mapper/verity.rst for the parameters.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from tools.core.errors import UserError

BLOCK_SIZES = (1024, 2048, 4096)
"""Supported block sizes in bytes. The kernel's maximum is its page size, which is at least 4096."""

MAX_SALT_SIZE = 256
"""Maximum size of the salt in bytes."""

_FORMAT = struct.Struct("<8sII16s32sIIQH6x256s168x")
_SIGNATURE = b"verity\0\0"
_VERSION = 1
_HASH_TYPE = (
    1  # the salt is hashed before the block, and digests are padded to a power of two; 0 is the format of Chrome OS
)
_ALGORITHM = b"sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """The parameters of a hash tree; the hash algorithm is always SHA-256.

    Attributes:
        data_size: size of the data in bytes, a positive multiple of the data block size.
        salt: salt, hashed before each block, 0 to 256 bytes.
        uuid: UUID of the hash tree.
        data_block_size: in bytes.
        hash_block_size: in bytes.
    """

    data_size: int
    salt: bytes
    uuid: UUID
    data_block_size: int = 4096
    hash_block_size: int = 4096

    def __post_init__(self) -> None:
        for what, size in (("data", self.data_block_size), ("hash", self.hash_block_size)):
            if size not in BLOCK_SIZES:
                raise UserError(f"{what} block size {size} is not one of {', '.join(map(str, BLOCK_SIZES))} bytes")
        if len(self.salt) > MAX_SALT_SIZE:
            raise UserError(f"the salt has {len(self.salt)} bytes; the maximum is {MAX_SALT_SIZE}")
        if self.data_size <= 0 or self.data_size % self.data_block_size:
            raise UserError(
                f"the data to protect has {self.data_size} bytes, which are not one or more whole blocks of "
                f"{self.data_block_size} bytes"
            )

    def encode(self) -> bytes:
        """Packs the superblock into 512 bytes."""
        blocks = self.data_size // self.data_block_size
        sizes = (self.data_block_size, self.hash_block_size, blocks, len(self.salt))
        return _FORMAT.pack(_SIGNATURE, _VERSION, _HASH_TYPE, self.uuid.bytes, _ALGORITHM, *sizes, self.salt)

    @classmethod
    def decode(cls, data: bytes) -> Superblock:
        """Parses a superblock of 512 bytes.

        Raises:
            UserError: the data is no superblock, or has unsupported parameters.
        """
        signature, version, kind, uuid, algorithm, data_block, hash_block, blocks, salt_size, salt = _FORMAT.unpack(
            data
        )
        if signature != _SIGNATURE:
            raise UserError("there is no dm-verity superblock")
        if (version, kind) != (_VERSION, _HASH_TYPE):
            raise UserError(
                f"dm-verity superblock version {version} with hash type {kind} is not supported, only 1 and 1"
            )
        if algorithm.rstrip(b"\0") != _ALGORITHM:
            raise UserError(f"the dm-verity tree's digest is {algorithm.rstrip(bytes(1))!r}; only sha256 is supported")
        if salt_size > MAX_SALT_SIZE:
            raise UserError(f"the dm-verity superblock is damaged: its salt has {salt_size} bytes")
        return cls(
            data_size=blocks * data_block,
            salt=salt[:salt_size],
            uuid=UUID(bytes=uuid),
            data_block_size=data_block,
            hash_block_size=hash_block,
        )


SIZE = _FORMAT.size
"""The superblock's size in bytes; the tree starts at the next hash block."""
