"""Packs and parses the maps of sparse members, in the old GNU format and the pax formats 0.0, 0.1 and 1.0.

A map is a list of (offset, length) pairs in bytes: the ranges of the file with data, which is contiguous in the
archive. Sources: the GNU tar manual ("Storing Sparse Files"), and src/tar.h of GNU tar for the old format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tools.tar import header, pax

Map = list[tuple[int, int]]

OLD_MAP, OLD_IS_EXTENDED, OLD_REAL_SIZE = slice(386, 482), 482, slice(483, 495)
"""Fields of a header in the old GNU format: four entries of the map, whether more follow, size of the file."""

_EXTENSION_MAP, _EXTENSION_IS_EXTENDED = slice(0, 504), 504
_FIELD = 12
_LONGEST_NUMBER = 20
_SPARE_RANGES = 64


def most_ranges(stored: int) -> int:
    """Returns how many ranges a map may have.

    Programs that write sparse members store whole blocks, of 512 bytes at least. So the memory that a map takes follows
    the size of the archive.

    Args:
        stored: size of the member's data in the archive, with or without its map, in bytes.
    """
    return stored // header.BLOCK + _SPARE_RANGES


def read_old(block: bytes, next_block: Callable[[], bytes], stored: int) -> Map:
    """Parses the map of a member in the old GNU format.

    Args:
        block: the header block.
        next_block: returns the next block of the archive.
        stored: size of the data in bytes.

    Raises:
        ValueError: the map is damaged.
    """
    result = _old_entries(block[OLD_MAP])
    more = block[OLD_IS_EXTENDED]
    while more:
        extension = next_block()
        result += _old_entries(extension[_EXTENSION_MAP])
        _check_count(len(result), stored)
        more = extension[_EXTENSION_IS_EXTENDED]
    return result


def _old_entries(data: bytes) -> Map:
    fields = [data[at : at + _FIELD] for at in range(0, len(data), _FIELD)]
    pairs = zip(fields[::2], fields[1::2], strict=True)
    return [(header.number(offset), header.number(length)) for offset, length in pairs if offset[0]]


def read_records(records: Iterable[tuple[bytes, bytes]], stored: int) -> Map:
    """Parses the map in the records of an extended header (pax formats 0.0 and 0.1).

    Args:
        records: of the extended header.
        stored: size of the data in bytes.

    Raises:
        ValueError: the map is damaged.
    """
    numbers: list[int] = []
    for keyword, value in records:
        if keyword == b"GNU.sparse.map":
            _check_count(value.count(b",") // 2, stored)
            numbers = [pax.integer(part) for part in value.split(b",")] if value else []
        elif keyword == (b"GNU.sparse.numbytes" if len(numbers) % 2 else b"GNU.sparse.offset"):
            numbers.append(pax.integer(value))
    _check_count(len(numbers) // 2, stored)
    return _pairs(numbers)


def read_data(next_block: Callable[[], bytes], stored: int) -> tuple[Map, int]:
    """Parses the map before a member's data (pax format 1.0); returns it, and the size of the data after it.

    Args:
        next_block: returns the next block of the member.
        stored: size of the map and the data in bytes.

    Raises:
        ValueError: the map is damaged.
    """
    lines: list[bytes] = []
    rest = b""
    missing = 1
    most = stored
    while missing > 0:
        stored -= header.BLOCK
        if stored < 0 or len(rest) > _LONGEST_NUMBER:
            raise ValueError("the map of the sparse file is damaged")
        *complete, rest = (rest + next_block()).split(b"\n")
        lines += complete
        count = pax.integer(lines[0]) if lines else 0
        _check_count(count, most)
        missing = 2 * count + 1 - len(lines)
    numbers = [pax.integer(line) for line in lines[: len(lines) + missing]]
    return _pairs(numbers[1:]), stored


def build_data(pairs: Map, size: int) -> bytes:
    """Packs a map in pax format 1.0, padded to whole blocks.

    Args:
        pairs: the map.
        size: size of the file in bytes. If the last range ends before it, an empty range marks the end, as in GNU tar.
    """
    if not pairs or sum(pairs[-1]) < size:
        pairs = [*pairs, (size, 0)]
    data = b"%d\n" % len(pairs) + b"".join(b"%d\n%d\n" % pair for pair in pairs)
    return data.ljust(header.padded(len(data)), b"\0")


def _check_count(count: int, stored: int) -> None:
    if count > most_ranges(stored):
        raise ValueError(
            f"the map of the sparse file has {count} ranges for {stored} bytes; its data should be whole blocks of "
            f"{header.BLOCK} bytes"
        )


def _pairs(numbers: list[int]) -> Map:
    if len(numbers) % 2:
        raise ValueError("the map of the sparse file has an offset without a length")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def check(pairs: Map, size: int, stored: int) -> None:
    """Checks that a map is in ascending order, and matches the size of the file and of the stored data, in bytes.

    Raises:
        ValueError: it does not.
    """
    end = 0
    for offset, length in pairs:
        if offset < end or length < 0:
            raise ValueError("the map of the sparse file is not in order")
        end = offset + length
    if end > size:
        raise ValueError(f"the map of the sparse file ends at byte {end} of a file of {size} bytes")
    if (total := sum(length for _, length in pairs)) != stored:
        raise ValueError(f"the map of the sparse file has {total} bytes of data, and the member {stored}")
