"""The superblock in front of a dm-verity hash tree.

Source of the format: cryptsetup's on-disk format, https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity ("Verity
superblock format"); the fields' meaning: the kernel's Documentation/admin-guide/device-mapper/verity.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from uuid import UUID

from tools.core.errors import UserError

BLOCK_SIZES = (1024, 2048, 4096)
"""Block sizes that are written and read. The kernel takes none above its page size, which is 4096 bytes at least."""

SALT_MOST = 256
"""The longest salt, in bytes."""

_FORMAT = struct.Struct("<8sII16s32sIIQH6x256s168x")
_SIGNATURE = b"verity\0\0"
_VERSION = 1
_HASH_TYPE = 1  # the salt is hashed before the block, and digests are padded to a power of two; 0 is Chrome OS's own
_ALGORITHM = b"sha256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """What a hash tree is made with; SHA-256 is the only digest.

    Attributes:
        data_size: in bytes, whole data blocks, at least one.
        salt: hashed before every block, 0 to 256 bytes.
        uuid: the tree's own UUID.
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
        if len(self.salt) > SALT_MOST:
            raise UserError(f"the salt has {len(self.salt)} bytes; there is room for {SALT_MOST}")
        if self.data_size <= 0 or self.data_size % self.data_block_size:
            raise UserError(
                f"the data to protect has {self.data_size} bytes, which are not one or more whole blocks of "
                f"{self.data_block_size} bytes"
            )

    def encode(self) -> bytes:
        """Returns the superblock's 512 bytes."""
        blocks = self.data_size // self.data_block_size
        sizes = (self.data_block_size, self.hash_block_size, blocks, len(self.salt))
        return _FORMAT.pack(_SIGNATURE, _VERSION, _HASH_TYPE, self.uuid.bytes, _ALGORITHM, *sizes, self.salt)

    @classmethod
    def decode(cls, data: bytes) -> Superblock:
        """Returns what a superblock of 512 bytes says.

        Raises:
            UserError: it is none, or asks for what is not supported.
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
        if salt_size > SALT_MOST:
            raise UserError(f"the dm-verity superblock says that its salt has {salt_size} bytes; it is damaged")
        return cls(
            data_size=blocks * data_block,
            salt=salt[:salt_size],
            uuid=UUID(bytes=uuid),
            data_block_size=data_block,
            hash_block_size=hash_block,
        )


SIZE = _FORMAT.size
"""The superblock's size in bytes; the tree starts at the next hash block."""
