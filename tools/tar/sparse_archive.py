"""Tar archives of images, described as images themselves.

A member with holes is stored as GNU tar stores sparse files in the pax format, version 1.0 (GNU tar manual, "Storing
Sparse Files"): an extended header that says so, a map of the ranges with data, and their bytes one after another.

A member is put together from parts, each of which keeps its place in the archive. So an archive of a disk holds the
data of a partition as one run of bytes, the same as in an archive of the partition alone: a part that was compressed
once need not be again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tools.image.extents import Data, Extent, Image, InputFile
from tools.image.holes import BLOCK_SIZE, Range, data_ranges, joined, packed
from tools.tar import header, pax, sparse

_RECORD = 20 * header.BLOCK
"""Archives are padded to a multiple of this; 20 is the default blocking factor of tar."""

_COMMENT = len(b"10 comment=\n")


@dataclass(frozen=True, slots=True)
class Part:
    """An image that stands at an offset of a member.

    Attributes:
        offset: in bytes.
        image: what stands there.
        block_size: of the part's map, in bytes, a multiple of 512. 512 keeps the map of an image that was read from an
            archive; see `holes.data_ranges`.
        payloads: files, by codec's name, that hold the part's data (see `data_of`) already compressed.
    """

    offset: int
    image: Image
    block_size: int = header.BLOCK
    payloads: Mapping[str, InputFile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Member:
    """A regular file of an archive.

    Attributes:
        name: its path, relative and without `.` and `..`.
        size: in bytes.
        parts: in order, not overlapping, inside the size; what is between them are holes. Their ranges have to begin
            and end at multiples of 512 bytes, but for the end of the file, since tar stores whole blocks.
        mtime: time of the last modification, in seconds since the epoch.
    """

    name: str
    size: int
    parts: Sequence[Part]
    mtime: int = 0

    @classmethod
    def of(cls, name: str, image: Image, block_size: int = BLOCK_SIZE) -> Member:
        """Returns a member that is one image, with a map in blocks of the image's own block size."""
        return cls(name, image.size, [Part(0, image, block_size)])

    @property
    def image(self) -> Image:
        """What the file reads as."""
        return Image.compose(self.size, ((part.offset, part.image) for part in self.parts))


class Placed(NamedTuple):
    """Where the data of a part stand in an archive, and the files that hold them compressed."""

    offset: int
    length: int
    payloads: Mapping[str, InputFile]


@dataclass(frozen=True, slots=True)
class Archive:
    """An archive, and where the data of its parts stand in it, in order."""

    image: Image
    parts: Sequence[Placed]


def data_of(image: Image, block_size: int = header.BLOCK) -> Image:
    """Returns what an archive stores of a part that is this image: its data in order, without the holes."""
    return packed(image, data_ranges(image, block_size))


def archive_of(members: Iterable[Member]) -> Archive:
    """Returns the archive of members, in the order given. Its bytes depend on nothing but the members.

    The data of members of 4 KiB and more start at multiples of 4 KiB, so that file systems that can share blocks
    between files need not copy them.

    Raises:
        ValueError: parts overlap, are not inside their member, or have ranges that tar can't store.
    """
    extents: list[Extent] = []
    placed: list[Placed] = []
    position = 0
    for member in members:
        ranges, datas = _layout(member)
        stored = sum(data.size for data in datas)
        head = _head(member, ranges, stored, position)
        extents.append(Extent(position, len(head), Data(head)))
        position += len(head)
        for part, data in zip(member.parts, datas, strict=True):
            extents.extend(extent.moved(position) for extent in data.extents)
            placed.append(Placed(position, data.size, part.payloads))
            position += data.size
        position = header.padded(position)
    size = -(-(position + len(header.END)) // _RECORD) * _RECORD
    return Archive(Image(size, joined(extents)), placed)


def _layout(member: Member) -> tuple[list[Range], list[Image]]:
    """Returns the map of a member, and the data of each of its parts."""
    ranges: list[Range] = []
    datas: list[Image] = []
    end = 0
    for part in member.parts:
        if part.offset < end or part.offset + part.image.size > member.size:
            raise ValueError(f"part at {part.offset} of {member.name} overlaps another, or the end at {member.size}")
        end = part.offset + part.image.size
        own = data_ranges(part.image, part.block_size)
        datas.append(packed(part.image, own))
        ranges.extend(Range(part.offset + begin, part.offset + end) for begin, end in own)
    for begin, end in ranges:
        if begin % header.BLOCK or (end % header.BLOCK and end != member.size):
            raise ValueError(f"bytes {begin} to {end} of {member.name} are not whole blocks of {header.BLOCK} bytes")
    return _merged(ranges), datas


def _merged(ranges: Iterable[Range]) -> list[Range]:
    merged: list[Range] = []
    for begin, end in ranges:
        if merged and merged[-1].end == begin:
            merged[-1] = Range(merged[-1].begin, end)
        else:
            merged.append(Range(begin, end))
    return merged


def _head(member: Member, ranges: Sequence[Range], stored: int, position: int) -> bytes:
    """Returns all that stands before a member's data: extended header, header, map."""
    name = member.name.encode()
    records: list[tuple[bytes, bytes]] = []
    short = name
    table = b""
    if ranges != [Range(0, member.size)] and member.size:
        table = sparse.build_data([(begin, end - begin) for begin, end in ranges], member.size)
        short = b"GNUSparseFile.0/" + name
        records += [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name)]
        records += [(b"GNU.sparse.realsize", b"%d" % member.size)]
    elif len(name) > _NAME_MOST:
        records.append((b"path", name))
    size = len(table) + stored
    main = header.build(short[:_NAME_MOST], header.REGULAR, mode=0o644, size=size, mtime=member.mtime)
    end = position + len(main) + len(table)
    extended = _extended(name, records, end, aligned=stored >= BLOCK_SIZE)
    return extended + main + table


_NAME_MOST = 100


def _extended(name: bytes, records: list[tuple[bytes, bytes]], end: int, *, aligned: bool) -> bytes:
    """Returns an extended header, or nothing where there are no records.

    Args:
        name: of the member.
        records: keywords and values.
        end: where the member's data would begin if the result were empty.
        aligned: whether they have to begin at a multiple of 4 KiB; a comment fills the header up as needed.
    """
    data = pax.build(records)
    length = header.BLOCK + header.padded(len(data)) if data else 0
    misaligned = aligned and (end + length) % BLOCK_SIZE
    if not data and not misaligned:
        return b""
    if misaligned:
        least = len(data) + _COMMENT
        length = least + -(end + header.BLOCK + least) % BLOCK_SIZE
        room = length - len(data)
        data += b"%d comment=%s\n" % (room, b" " * (room - len(b"%d comment=\n" % room)))
    short = (b"PaxHeaders/" + name)[:_NAME_MOST]
    return header.build(short, header.PAX, mode=0o644, size=len(data)) + data.ljust(header.padded(len(data)), b"\0")
