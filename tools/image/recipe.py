"""Recipes: files that describe an image, so that an action hands it to the next one without a copy of its data.

A recipe has what is in no other file, such as the superblock and tables of a file system. For the contents of files it
has ranges of the inputs that they are from. These are numbers, not paths: who reads it gives the same files in the same
order, wherever they are. `recipe_format` describes the bytes.
"""

from __future__ import annotations

import hashlib
import os
import sys
from array import array
from collections.abc import Iterator, Sequence

from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern
from tools.image.holes import BLOCK_SIZE
from tools.image.recipe_format import FILE, LARGEST_PATTERN, PATTERN, RANGE_FIELDS, START, Header

_DATA = 0


def files_below(paths: Sequence[str | os.PathLike[str]]) -> Iterator[str]:
    """Yields the files that a recipe can have ranges of: files as they are given, and those below given folders.

    The order depends only on that of the paths, and on the names in the folders.
    """
    for given in paths:
        path = os.fspath(given)
        if not os.path.isdir(path):
            yield path
            continue
        for folder, folders, names in os.walk(path, followlinks=True):
            folders.sort()
            yield from (os.path.join(folder, name) for name in sorted(names))


def start_digest(file: InputFile) -> bytes:
    """Returns the SHA-256 of the first MiB of a file, or of all of a smaller one, 32 bytes."""
    return hashlib.sha256(file.read(0, min(file.size(), START))).digest()


def recipe_of(image: Image, files: Sequence[str | os.PathLike[str]], block_size: int = BLOCK_SIZE) -> Image:
    """Returns a recipe of an image. The recipe is an image itself: `write_raw` writes it.

    Args:
        image: the image.
        files: paths of files, or of folders of them, which a reader will be given; what other sources have becomes data
            of the recipe. They are named as the sources of the extents name them.
        block_size: of the map that the image has in an archive, in bytes; see `holes.data_ranges`.

    Raises:
        UserError: one of the files cannot be read.
    """
    maker = _Maker(files)
    for extent in image.extents:
        maker.add(extent)
    return maker.recipe(image.size, block_size)


class _Maker:
    """Collects the tables of a recipe, and its data."""

    def __init__(self, files: Sequence[str | os.PathLike[str]]) -> None:
        self._numbers: dict[str, int] = {}
        self._given = 0
        for path in files_below(files):
            self._numbers.setdefault(path, self._given)
            self._given += 1
        self._files: dict[str, int] = {}
        self._patterns: dict[bytes, tuple[int, int]] = {}
        self._ranges = array("Q")
        self._of_patterns: list[int] = []
        self._data: list[Extent] = []
        self._end = 0

    def add(self, extent: Extent) -> None:
        """Adds the next extent of the image."""
        source = extent.source
        if isinstance(source, FileRange) and source.file.path in self._numbers:
            self._add_range(extent, self._files.setdefault(source.file.path, len(self._files)) + 1, source.start)
        elif isinstance(source, Pattern) and len(source.block) <= LARGEST_PATTERN and len(source.block) < extent.length:
            if source.block not in self._patterns:
                start = self._append(Extent(0, len(source.block), Data(source.block)))
                self._patterns[source.block] = (len(self._patterns), start)
            self._of_patterns.append(len(self._ranges) // RANGE_FIELDS)
            phase = source.phase % len(source.block)
            self._ranges.extend((extent.offset, extent.length, self._patterns[source.block][0], phase))
        else:
            self._add_range(extent, _DATA, self._append(extent))

    def _append(self, extent: Extent) -> int:
        """Appends the content of an extent to the data; returns its offset there."""
        start = self._end
        self._data.append(extent.moved(start - extent.offset))
        self._end += extent.length
        return start

    def _add_range(self, extent: Extent, source: int, start: int) -> None:
        """Adds a range of the data or a file, to the last range if it goes on there."""
        ranges = self._ranges
        pattern_is_last = bool(self._of_patterns) and self._of_patterns[-1] == len(ranges) // RANGE_FIELDS - 1
        if ranges and not pattern_is_last:
            offset, length, last, begin = ranges[-RANGE_FIELDS:]
            if (offset + length, last, begin + length) == (extent.offset, source, start):
                ranges[-3] = length + extent.length
                return
        ranges.extend((extent.offset, extent.length, source, start))

    def recipe(self, size: int, block_size: int) -> Image:
        """Returns the recipe of an image of `size` bytes that has what was added."""
        for row in self._of_patterns:  # patterns are counted after the files, whose number is known only now
            self._ranges[row * RANGE_FIELDS + 2] += len(self._files) + 1
        ranges = self._ranges
        if sys.byteorder == "big":
            ranges = array("Q", ranges)
            ranges.byteswap()
        rows = len(ranges) // RANGE_FIELDS
        head = bytearray(Header(block_size, size, self._given, len(self._files), len(self._patterns), rows).encode())
        for path in self._files:
            file = InputFile(path)
            head += FILE.pack(self._numbers[path], file.size(), start_digest(file))
        for block, (_, start) in self._patterns.items():
            head += PATTERN.pack(start, len(block))
        head += ranges.tobytes()
        start = len(head)
        return Image(start + self._end, [Extent(0, start, Data(bytes(head))), *(e.moved(start) for e in self._data)])
