"""Compresses the data of an image, and takes over what a base of it has compressed already.

A base is another image with much of the same data at the same places: in ext4 the lowest layer of a root tree has the
same place with and without what is laid over it. The base is compressed by an action that depends on it alone. So a
change of another file leads to no other compressed data than that of the pieces which it is in.
"""

from __future__ import annotations

from typing import NamedTuple

from tools.core.errors import UserError
from tools.image.compressed_data import CompressedData
from tools.image.compression import Codec, Remember, unchanged
from tools.image.extents import Extent, FileRange, Image
from tools.image.rawfile import Progress, no_progress
from tools.image.spool import Spool
from tools.pieces.piece_digests import PieceDigests
from tools.pieces.windows import compressed_windows, windows_of


class Base(NamedTuple):
    """An image whose data is compressed already.

    Attributes:
        image: the image, as `open_image` opens it.
        digests: of its pieces.
        data: its data, compressed in windows.
    """

    image: Image
    digests: PieceDigests
    data: CompressedData


def compressed_over(
    image: Image,
    digests: PieceDigests,
    base: Base,
    codec: Codec,
    *,
    remember: Remember = unchanged,
    threads: int | None = None,
    progress: Progress = no_progress,
) -> Image:
    """Returns what `write_compressed` writes of `data_of(image)`, with `data_cuts` at the codec's piece size.

    The result has ranges of the base's compressed data, and of a temporary file. Whether digests are those of the
    content is not checked.

    Args:
        image: the image, as `open_image` opens it.
        digests: of its pieces.
        base: what is taken over where it is the same.
        codec: the format, which `fits`, and in which the base is compressed.
        remember: see `compressed_windows`.
        threads: see `compressed`.
        progress: called with the number of bytes of data that were processed since the last call.

    Raises:
        UserError: an input cannot be read, or the base's compressed data is not that of its image.
    """
    known = _frames(base, codec)
    windows = windows_of(image, codec.piece_size)
    descriptions = [window.description(digests, codec.piece_size) for window in windows]
    new = [window for window, key in zip(windows, descriptions, strict=True) if key not in known]
    made = iter(compressed_windows(image, new, digests, codec, remember=remember, threads=threads))
    spool = Spool()
    extents: list[Extent] = []
    end = 0

    def append(data: Extent) -> None:
        nonlocal end
        extents.append(data.moved(end - data.offset))
        end += data.length

    for window, key in zip(windows, descriptions, strict=True):
        if key in known:
            for extent in known[key].extents:
                append(extent)
        else:
            data = next(made)[1]
            append(Extent(0, len(data), FileRange(spool, spool.append(data))))
        progress(window.length)
    if not windows:
        data = codec.encoder()(b"")
        append(Extent(0, len(data), FileRange(spool, spool.append(data))))
    return Image(end, extents)


def _frames(base: Base, codec: Codec) -> dict[bytes, Image]:
    """Returns the compressed data of each window of the base, by its description."""
    windows = windows_of(base.image, codec.piece_size)
    frames = list(codec.frames(base.data.stream, base.data.path)) if windows else []
    if [window.length for window in windows] != [frame.content_size for frame in frames]:
        raise UserError(f"{base.data.path}: is not the compressed data of the base; compress that again")
    return {
        window.description(base.digests, codec.piece_size): base.data.stream.slice(frame.offset, frame.length)
        for window, frame in zip(windows, frames, strict=True)
    }
