"""Composes tar archives of images; the archives are images themselves.

Members with holes are in the sparse pax format 1.0 (GNU tar manual, "Storing Sparse Files"): an extended header, a map
of the ranges with data, and the data of these ranges.

A member consists of parts. The data of each part is contiguous in the archive: an archive of a disk contains the data
of a partition as an archive of the partition alone does. So compressed data of a part can be reused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.image.compressed_data import CompressedData
from tools.image.extents import Data, Extent, Image
from tools.image.holes import BLOCK_SIZE, Range, data_ranges, joined, packed, packed_extents
from tools.tar import header
from tools.tar.member_header import ALIGNMENT, SparseFile, member_header


@dataclass(frozen=True, slots=True)
class Part:
    """An image at an offset of a member.

    Attributes:
        offset: in bytes.
        image: the image.
        block_size: block size of the part's map in bytes, a multiple of 512; see `holes.data_ranges`. 512 preserves the
            map of an image from an archive.
        payloads: codec name to the part's compressed data (see `data_of`).
    """

    offset: int
    image: Image
    block_size: int = header.BLOCK
    payloads: Mapping[str, CompressedData] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive.

    Attributes:
        name: its path, relative and without `.` and `..`.
        size: in bytes.
        parts: parts in ascending order, not overlapping, within the size, with holes between them. Ranges of data must
            begin and end at multiples of 512 bytes, or end with the file, since tar stores whole blocks.
        mtime: modification time in seconds since the epoch.
    """

    name: str
    size: int
    parts: Sequence[Part]
    mtime: int = 0

    @classmethod
    def of(cls, name: str, image: Image, block_size: int = BLOCK_SIZE) -> Member:
        """Returns a member with one image, and a map in blocks of `block_size` bytes."""
        return cls(name, image.size, [Part(0, image, block_size)])

    @property
    def image(self) -> Image:
        """The content of the file."""
        return Image.compose(self.size, ((part.offset, part.image) for part in self.parts))


class Placed(NamedTuple):
    """A part in an archive: offset and length of its data in bytes, and its compressed data by codec name."""

    offset: int
    length: int
    payloads: Mapping[str, CompressedData]


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive as an image, and its parts with data, in order."""

    image: Image
    parts: Sequence[Placed]


def data_of(image: Image, block_size: int = header.BLOCK) -> Image:
    """Returns the data of an image without holes, as an archive stores it."""
    return packed(image, data_ranges(image, block_size))


def data_cuts(image: Image, distance: int) -> list[int]:
    """Returns where the data of an image (see `data_of`) is cut if the image is cut at each multiple of `distance`.

    A change of the image between two multiples changes only what is between two cuts.
    """
    cuts: list[int] = []
    position = 0
    last = -1
    for begin, end in data_ranges(image, header.BLOCK):
        for number in range(begin // distance, -(-end // distance)):
            cut = position + max(number * distance - begin, 0)
            if number != last and cut:
                cuts.append(cut)
            last = number
        position += end - begin
    return cuts


def archive_of(members: Iterable[Member]) -> Archive:
    """Returns an archive of members, in the given order. It depends only on the members.

    Data of 4 KiB and more starts at a multiple of 4 KiB, so that file systems with reflinks can share its blocks.

    Raises:
        ValueError: parts overlap, exceed their member, or have ranges that tar can't store.
    """
    extents: list[Extent] = []
    placed: list[Placed] = []
    position = 0
    for member in members:
        ranges, own = _layout(member)
        stored = sum(end - begin for begin, end in ranges)
        head = _head(member, ranges, stored, position)
        extents.append(Extent(position, len(head), Data(head)))
        position += len(head)
        for part, data in zip(member.parts, own, strict=True):
            size = sum(end - begin for begin, end in data)
            extents.extend(packed_extents(part.image, data, position))
            placed.append(Placed(position, size, part.payloads))
            position += size
        position = header.padded(position)
    return Archive(Image(header.archive_size(position), joined(extents)), placed)


def _layout(member: Member) -> tuple[list[Range], list[list[Range]]]:
    """Returns the sparse map of a member, and the ranges with data of each part."""
    ranges: list[Range] = []
    parts: list[list[Range]] = []
    end = 0
    for part in member.parts:
        if part.offset < end or part.offset + part.image.size > member.size:
            raise ValueError(f"part at {part.offset} of {member.name} overlaps another, or the end at {member.size}")
        end = part.offset + part.image.size
        own = data_ranges(part.image, part.block_size)
        parts.append(own)
        ranges.extend(Range(part.offset + begin, part.offset + end) for begin, end in own)
    for begin, end in ranges:
        if begin % header.BLOCK or (end % header.BLOCK and end != member.size):
            raise ValueError(f"bytes {begin} to {end} of {member.name} are not whole blocks of {header.BLOCK} bytes")
    return _merged(ranges), parts


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for begin, end in ranges:
        if merged and merged[-1].end == begin:
            merged[-1] = Range(merged[-1].begin, end)
        else:
            merged.append(Range(begin, end))
    return merged


def _head(member: Member, ranges: Sequence[Range], stored: int, position: int) -> bytes:
    """Packs what precedes a member's data: extended header, header and map."""
    is_sparse = bool(member.size) and ranges != [Range(0, member.size)]
    return member_header(
        member.name.encode(),
        header.REGULAR,
        mode=0o644,
        size=stored,
        mtime_ns=member.mtime * 10**9,
        sparse_file=SparseFile(ranges, member.size) if is_sparse else None,
        align_from=position if stored >= ALIGNMENT else None,
    )
