"""Describes swap areas of Linux, as mkswap(8) makes them.

The header is in the first page: Linux include/linux/swap.h, `union swap_header`, version 1.
"""

from __future__ import annotations

import struct
from uuid import UUID

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image

_PAGE = 4096
_MIN_PAGES = 10
"""The least that mkswap makes and swapon takes."""

_MAX_PAGES = 1 << 32
_HEADER_OFFSET = 1024
_HEADER = struct.Struct("<III16s16s")
_VERSION = 1
_LABEL_SIZE = 15
_SIGNATURE = b"SWAPSPACE2"
_SIGNATURE_OFFSET = _PAGE - len(_SIGNATURE)


def swap_area(size: int, uuid: UUID, label: str = "") -> Image:
    """Returns a swap area for machines with pages of 4096 bytes, in little-endian byte order.

    Args:
        size: in bytes.
        uuid: of the area.
        label: of the area, at most 15 bytes in UTF-8.

    Raises:
        UserError: the size is not a number of pages in the range of the format, or the label is too long.
    """
    pages = size // _PAGE
    if size % _PAGE or not _MIN_PAGES <= pages <= _MAX_PAGES:
        raise UserError(f"a swap area has {_MIN_PAGES} to {_MAX_PAGES} pages of {_PAGE} bytes, not {size} bytes")
    name = label.encode()
    if len(name) > _LABEL_SIZE or b"\0" in name:
        raise UserError(f"the label {label!r} is not one of a swap area: at most {_LABEL_SIZE} bytes, without NUL")
    header = _HEADER.pack(_VERSION, pages - 1, 0, uuid.bytes, name)
    return Image(
        size,
        [
            Extent(_HEADER_OFFSET, len(header), Data(header)),
            Extent(_SIGNATURE_OFFSET, len(_SIGNATURE), Data(_SIGNATURE)),
        ],
    )


def is_swap_area(image: Image) -> bool:
    """Returns whether an image has the signature of a swap area."""
    return image.size >= _PAGE and image.read(_SIGNATURE_OFFSET, len(_SIGNATURE)) == _SIGNATURE
