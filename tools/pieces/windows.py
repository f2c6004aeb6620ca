"""The pieces that the data of an image is compressed in, and what their data depends on: the digests of whole MiBs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tools.core.parallel import ordered_map
from tools.image.compression import Codec, Remember
from tools.image.extents import Buffer, Image
from tools.image.holes import Range, data_ranges, packed
from tools.pieces.piece_digests import PIECE_SIZE, PieceDigests
from tools.tar import header


class Window(NamedTuple):
    """A piece that is compressed by itself: what an image has between two multiples of the codec's piece size.

    Attributes:
        begin: offset in the image in bytes.
        ranges: its ranges with data, from there on.
    """

    begin: int
    ranges: list[Range]

    @property
    def length(self) -> int:
        """Number of bytes of its data."""
        return sum(end - begin for begin, end in self.ranges)

    def description(self, digests: PieceDigests, size: int) -> bytes:
        """Returns what its data depends on: the digests of the pieces in it, and which ranges have data.

        Args:
            digests: of the image's pieces.
            size: the codec's piece size.
        """
        first = self.begin // PIECE_SIZE
        numbers = range(first, first + size // PIECE_SIZE)
        inside = [digests.pieces[number].hex() for number in numbers if number in digests.pieces]
        return json.dumps([inside, self.ranges]).encode()


def fits(codec: Codec) -> bool:
    """Returns whether each piece of a codec consists of whole pieces that have digests."""
    return codec.piece_size % PIECE_SIZE == 0


def windows_of(image: Image, size: int) -> list[Window]:
    """Returns the windows of `size` bytes of an image that have data, in order."""
    windows: list[Window] = []
    for begin, end in data_ranges(image, header.BLOCK):
        for start in range(begin - begin % size, end, size):
            if not windows or windows[-1].begin != start:
                windows.append(Window(start, []))
            windows[-1].ranges.append(Range(max(begin - start, 0), min(end - start, size)))
    return windows


def compressed_windows(
    image: Image,
    windows: Sequence[Window],
    digests: PieceDigests,
    codec: Codec,
    *,
    remember: Remember,
    threads: int | None = None,
) -> Iterator[tuple[int, Buffer]]:
    """Yields for each window the size of its data in bytes, and that data compressed.

    Args:
        image: the image.
        windows: some of it.
        digests: of its pieces.
        codec: the format, which `fits`.
        remember: gets descriptions of windows instead of their data; see `Remember`.
        threads: see `compressed`.
    """
    encode = codec.encoder()
    lock = threading.Lock()  # input files are not for several threads

    def work(window: Window) -> tuple[int, Buffer]:
        def read_and_encode(_description: Buffer) -> Buffer:
            with lock:
                size = min(codec.piece_size, image.size - window.begin)
                data = packed(image.slice(window.begin, size), window.ranges)
                content = data.read(0, data.size)
            return encode(content)

        kept = remember(read_and_encode, f"by digests: {codec!r}")
        return window.length, kept(window.description(digests, codec.piece_size))

    return ordered_map(work, windows, threads)
