"""Compresses the data of an image, and reads only the pieces of it that were not compressed before."""

from __future__ import annotations

import os

from tools.core.outputs import replacing, write_all
from tools.image.compression import Codec
from tools.image.extents import Image
from tools.image.piece_store import PieceStore
from tools.image.rawfile import Progress, no_progress
from tools.image.running_digest import RunningDigest
from tools.pieces.piece_digests import PieceDigests
from tools.pieces.windows import compressed_windows, windows_of


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
        image: the image, as `open_image` opens it.
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
    windows = windows_of(image, codec.piece_size)
    with replacing(path) as fd:
        position = 0
        pieces = compressed_windows(image, windows, digests, codec, remember=store.remembering, threads=threads)
        for length, data in pieces if windows else [(0, codec.encoder()(b""))]:
            if digest is not None:
                digest.add(position, data)
            write_all(fd, memoryview(data))
            position += len(data)
            progress(length)
