"""Compresses the data of an image, and reads only the pieces of it that were not compressed before."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import NamedTuple

from tools.core.outputs import replacing, write_all
from tools.core.parallel import ordered_map
from tools.image.compression import Codec
from tools.image.extents import Buffer, Image
from tools.image.holes import Range, data_ranges, packed
from tools.image.piece_store import PieceStore
from tools.image.rawfile import Progress, no_progress
from tools.image.running_digest import RunningDigest
from tools.pieces.piece_digests import PIECE_SIZE, PieceDigests
from tools.tar import header


class _Window(NamedTuple):
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


def fits(codec: Codec) -> bool:
    """Returns whether each piece of a codec consists of whole pieces that have digests."""
    return codec.piece_size % PIECE_SIZE == 0


def write_data(
    image: Image,
    digests: PieceDigests,
    path: str | os.PathLike[str],
    codec: Codec,
    store: PieceStore,
    *,
    threads: int | None = None,
    progress: Progress = no_progress,
    digest: RunningDigest | None = None,
) -> None:
    """Writes what `write_compressed` writes of `data_of(image)`, with `data_cuts` at the codec's piece size.

    Args:
        image: the image, all of whose extents are ranges of one file.
        digests: of its pieces.
        path: output file, created atomically.
        codec: the format, which `fits`.
        store: has what was compressed before, and takes what is new.
        threads: see `compressed`.
        progress: called with the number of bytes of data that were processed since the last call.
        digest: a new one, which gets all bytes of the file.

    Raises:
        UserError: the file cannot be written, or the image cannot be read.
    """
    with replacing(path) as fd:
        position = 0
        for length, data in _compressed(image, digests, codec, store, threads):
            if digest is not None:
                digest.add(position, data)
            write_all(fd, memoryview(data))
            position += len(data)
            progress(length)


def _compressed(
    image: Image, digests: PieceDigests, codec: Codec, store: PieceStore, threads: int | None
) -> Iterator[tuple[int, Buffer]]:
    """Yields for each piece the size of its data in bytes, and that data compressed."""
    encode = codec.encoder()
    lock = threading.Lock()  # input files are not for several threads

    def work(window: _Window) -> tuple[int, Buffer]:
        def read_and_encode(_description: Buffer) -> Buffer:
            with lock:
                size = min(codec.piece_size, image.size - window.begin)
                data = packed(image.slice(window.begin, size), window.ranges)
                content = data.read(0, data.size)
            return encode(content)

        kept = store.remembering(read_and_encode, f"by digests: {codec!r}")
        return window.length, kept(_description(window, digests, codec.piece_size))

    windows = _windows(image, codec.piece_size)
    if not windows:
        yield 0, encode(b"")
    yield from ordered_map(work, windows, threads)


def _description(window: _Window, digests: PieceDigests, size: int) -> bytes:
    """Returns what the data of a window depends on: the digests of the pieces in it, and which ranges have data."""
    first = window.begin // PIECE_SIZE
    inside = [
        digests.pieces[number].hex() for number in range(first, first + size // PIECE_SIZE) if number in digests.pieces
    ]
    return json.dumps([inside, window.ranges]).encode()


def _windows(image: Image, size: int) -> list[_Window]:
    """Returns the windows of `size` bytes of an image that have data, in order."""
    windows: list[_Window] = []
    for begin, end in data_ranges(image, header.BLOCK):
        for start in range(begin - begin % size, end, size):
            if not windows or windows[-1].begin != start:
                windows.append(_Window(start, []))
            windows[-1].ranges.append(Range(max(begin - start, 0), min(end - start, size)))
    return windows
