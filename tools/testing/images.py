"""Hypothesis strategies for images."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import strategies as st

from tools.image.extents import Data, Extent, FileRange, Image, InputFile, Pattern, Source

_INPUT_SIZE = 3 << 20


def input_file(folder: Path) -> InputFile:
    """Creates a file of 3 MiB of deterministic random bytes, for images to refer to."""
    path = folder / "input"
    path.write_bytes(random.Random(0).randbytes(_INPUT_SIZE))
    return InputFile(path)


def images(file: InputFile, unit: int = 1, largest: int = 1 << 20) -> st.SearchStrategy[Image]:
    """Returns a strategy for images with extents of all kinds of sources, with and without gaps.

    Args:
        file: file from `input_file`.
        unit: offsets and lengths are multiples of this, in bytes.
        largest: maximum size of an extent or a gap in bytes.
    """
    near = st.sampled_from([0, 1, 7, 511, 512, 513, 4095, 4096, 4097, 70000, largest])
    lengths = st.one_of(near, st.integers(0, largest)).map(lambda n: min(n, largest) // unit * unit)
    starts = st.integers(0, _INPUT_SIZE - largest)
    sources: st.SearchStrategy[Source] = st.one_of(
        starts.map(lambda start: FileRange(file, start)),
        st.binary(min_size=1, max_size=40).map(Pattern),
        st.just(Pattern(b"\0")),
        st.integers(0, 255).map(lambda byte: Data(bytes([byte]) * largest)),
    )

    def build(parts: list[tuple[int, int, Source]], rest: int) -> Image:
        extents = []
        end = 0
        for gap, length, source in parts:
            extents.append(Extent(end + gap, length, source))
            end += gap + length
        return Image(end + rest, extents)

    return st.builds(build, st.lists(st.tuples(lengths, lengths, sources), max_size=12), lengths)


def content(image: Image) -> bytes:
    """Returns all bytes of a small image, independently of `Image.read`."""
    result = bytearray(image.size)
    for extent in image.extents:
        result[extent.offset : extent.end] = extent.source.read(0, extent.length)
    return bytes(result)
