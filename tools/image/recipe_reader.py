"""Opens recipes as images, and checks that they are given the files that they were made with; see `recipe`."""

from __future__ import annotations

import os
import sys
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.image.extents import Buffer, Extent, FileRange, FillingSource, Image, InputFile, Pattern, Source
from tools.image.holes import rounded
from tools.image.recipe import files_below, start_digest
from tools.image.recipe_format import (
    FILE,
    FORMAT,
    HEADER,
    LARGEST_BLOCK,
    LARGEST_PATTERN,
    MAGIC,
    PATTERN,
    RANGE_FIELDS,
    RANGE_SIZE,
    Header,
)

_SMALLEST_BLOCK = 512


def is_recipe(path: str | os.PathLike[str]) -> bool:
    """Returns whether a file begins as recipes do.

    Raises:
        UserError: the file cannot be read.
    """
    file = InputFile(path)
    return file.read(0, min(file.size(), len(MAGIC))) == MAGIC


def open_recipe(path: str | os.PathLike[str], files: Sequence[str | os.PathLike[str]]) -> Image:
    """Opens the image of a recipe. Its extents are those of the map that the image has in an archive.

    Of a file that the recipe has ranges of, the size and the first MiB are compared with those of the file that it was
    made with. So what a reader was given by mistake is found, but not each change of a large file.

    Args:
        path: of the recipe.
        files: the files, or folders of them, that the recipe was made with, in the same order.

    Raises:
        UserError: the recipe cannot be read, is damaged or has another format; or the files are others, or fewer.
    """
    return _Reader(path, list(files_below(files))).image()


class _Reader:
    """Reads the tables of a recipe, and checks them."""

    def __init__(self, path: str | os.PathLike[str], given: Sequence[str]) -> None:
        self._file = InputFile(path)
        self._given = given
        self._header = self._read_header()
        self._at = HEADER.size
        self._data_size = self._file.size() - self._header.data_start

    def image(self) -> Image:
        """Returns the image."""
        header = self._header
        data = FileRange(self._file, header.data_start)
        sources: list[Source] = [data, *map(FileRange, self._read_files())]
        sizes = [self._data_size, *(source.file.size() for source in sources[1:] if isinstance(source, FileRange))]
        for start, length in self._read_patterns():
            sources.append(Pattern(self._file.read(header.data_start + start, length)))
            sizes.append(length)
        ranges = self._read_ranges()
        self._check_ranges(ranges, sizes, len(sizes) - header.patterns)
        content = _Content(ranges, ranges[::RANGE_FIELDS], sources)
        return Image(
            header.size,
            (
                Extent(begin, end - begin, _Part(content, begin))
                for begin, end in rounded(_spans(ranges), header.size, header.block_size)
            ),
        )

    def _read_header(self) -> Header:
        file = self._file
        if not is_recipe(file.path) or file.size() < HEADER.size:
            raise UserError(f"{file.path}: is no recipe of an image, or its start is missing; make it again")
        _, number, block_size, size, *counts = HEADER.unpack(file.read(0, HEADER.size))
        if number != FORMAT:
            raise UserError(f"{file.path}: has format {number}, and {FORMAT} is known; make it again")
        header = Header(block_size, size, *counts)
        if header.data_start > file.size():
            raise self._damaged(f"its tables end at byte {header.data_start}, and it has {file.size()}")
        if not _SMALLEST_BLOCK <= block_size <= LARGEST_BLOCK or block_size & (block_size - 1):
            raise self._damaged(f"it has blocks of {block_size} bytes")
        if header.given != len(self._given):
            raise UserError(
                f"{file.path}: was made with {header.given} files, and {len(self._given)} are given; give the same "
                "ones in the same order"
            )
        return header

    def _damaged(self, what: str) -> UserError:
        return UserError(f"{self._file.path}: is damaged: {what}; make it again")

    def _table(self, size: int) -> bytes:
        """Reads the next `size` bytes of the tables."""
        data = self._file.read(self._at, size)
        self._at += size
        return data

    def _read_files(self) -> Iterator[InputFile]:
        for number, size, digest in FILE.iter_unpack(self._table(self._header.files * FILE.size)):
            if number >= len(self._given):
                raise self._damaged(f"it has a range of file {number} of {len(self._given)}")
            file = InputFile(self._given[number])
            if file.size() != size:
                raise UserError(
                    f"{file.path}: has {file.size()} bytes, and {self._file.path} was made with a file of {size}; make "
                    "that again"
                )
            if start_digest(file) != digest:
                raise UserError(f"{file.path}: is not the file that {self._file.path} was made with; make that again")
            yield file

    def _read_patterns(self) -> Iterator[tuple[int, int]]:
        end = 0
        for start, length in PATTERN.iter_unpack(self._table(self._header.patterns * PATTERN.size)):
            if not 0 < length <= LARGEST_PATTERN or start < end or start + length > self._data_size:
                raise self._damaged(f"it has a pattern of {length} bytes at byte {start} of its data")
            end = start + length
            yield start, length

    def _read_ranges(self) -> array[int]:
        ranges = array("Q")
        ranges.frombytes(self._table(self._header.ranges * RANGE_SIZE))
        if sys.byteorder == "big":
            ranges.byteswap()
        return ranges

    def _check_ranges(self, ranges: array[int], sizes: Sequence[int], first_pattern: int) -> None:
        end = 0
        for offset, length, source, start in _rows(ranges):
            if offset < end or not length or offset + length > self._header.size:
                raise self._damaged(f"it has a range of {length} bytes at byte {offset}, after one that ends at {end}")
            end = offset + length
            if source >= len(sizes) or start + (1 if source >= first_pattern else length) > sizes[source]:
                raise self._damaged(
                    f"the range at byte {offset} is from byte {start} of source {source}, which is less"
                )


def _rows(ranges: array[int]) -> Iterator[tuple[int, ...]]:
    """Returns the ranges as tuples of their fields."""
    fields = iter(ranges)
    return zip(*[fields] * RANGE_FIELDS, strict=True)


def _spans(ranges: array[int]) -> Iterator[tuple[int, int]]:
    """Yields begin and end of each range in the image."""
    return ((offset, offset + length) for offset, length, _, _ in _rows(ranges))


@dataclass(frozen=True, slots=True, eq=False)
class _Content:
    """The ranges of a recipe. They are in arrays, since an object for each takes several times the memory.

    Attributes:
        ranges: their fields, one after another.
        offsets: the first field of each.
        sources: what the third field stands for.
    """

    ranges: array[int]
    offsets: array[int]
    sources: Sequence[Source]

    def read(self, begin: int, length: int) -> Buffer:
        """Returns bytes of the image from `begin` on, with zeros between ranges."""
        view = memoryview(bytearray(length))
        self.read_into(begin, view)
        return view.toreadonly()

    def read_into(self, begin: int, view: memoryview) -> None:
        """Fills `view`, which contains zeros, with bytes of the image from `begin` on."""
        end = begin + len(view)
        for row in range(max(bisect_right(self.offsets, begin) - 1, 0), len(self.offsets)):
            offset, size, number, start = self.ranges[row * RANGE_FIELDS : (row + 1) * RANGE_FIELDS]
            if offset >= end:
                break
            first, last = max(offset, begin), min(offset + size, end)
            if first < last:
                _read_into(self.sources[number], start + first - offset, view[first - begin : last - begin])


def _read_into(source: Source, start: int, view: memoryview) -> None:
    if isinstance(source, FillingSource):
        source.read_into(start, view)
    else:
        view[:] = source.read(start, len(view))


@dataclass(frozen=True, slots=True)
class _Part(FillingSource):
    """The bytes of an image from `begin` on, as a source."""

    content: _Content
    begin: int

    def read(self, offset: int, length: int) -> Buffer:
        return self.content.read(self.begin + offset, length)

    def read_into(self, offset: int, view: memoryview) -> None:
        self.content.read_into(self.begin + offset, view)

    def advanced(self, offset: int) -> Source:
        return _Part(self.content, self.begin + offset)
