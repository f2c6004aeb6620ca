"""Writes compressed files of images and archives, and reuses parts that are already compressed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.image.compressed_data import CompressedData
from tools.image.compression import Codec, Remember, compressed, unchanged
from tools.image.extents import Buffer, Image
from tools.image.rawfile import Progress, no_progress, write_data
from tools.image.running_digest import RunningDigest


def content_size(data: CompressedData, codec: Codec) -> int:
    """Returns the number of bytes that a compressed stream decompresses to.

    Raises:
        UserError: see `Codec.frames`.
    """
    return sum(frame.content_size for frame in codec.frames(data.stream, data.path))


class Payload(NamedTuple):
    """A compressed stream with the content of a range of an image.

    Attributes:
        offset: offset of the range in the image, in bytes.
        length: length of the range in bytes.
        data: the stream.
    """

    offset: int
    length: int
    data: CompressedData


def write_compressed(
    image: Image,
    path: str | os.PathLike[str],
    codec: Codec,
    *,
    payloads: Iterable[Payload] = (),
    threads: int | None = None,
    cuts: Sequence[int] = (),
    remember: Remember = unchanged,
    progress: Progress = no_progress,
    digest: RunningDigest | None = None,
) -> None:
    """Writes a file that decompresses to an image, holes included.

    Args:
        image: the image to compress, such as that of an archive.
        path: output file, created atomically.
        codec: the format.
        payloads: ranges of the image that are already compressed with the same codec, in ascending order; these
            streams are copied unchanged.
        threads: see `compressed`.
        cuts: offsets in the image where a piece ends before it is full.
        remember: see `compressed`.
        progress: called with the number of bytes of the image that were processed since the last call.
        digest: a new one, which gets all bytes of the file.

    Raises:
        UserError: the file cannot be written, an input cannot be read, or the content of a payload has not the length
            of its range. The content itself is not compared.
    """
    with replacing(path) as fd:
        output = _Output(fd, digest)
        position = 0

        def compress_up_to(end: int) -> None:
            if position < end:
                own = [cut - position for cut in cuts if position < cut < end]
                for length, data in compressed(image.slice(position, end - position), codec, threads, own, remember):
                    output.append(data)
                    progress(length)

        for payload in payloads:
            compress_up_to(payload.offset)
            _check(payload, codec)
            output.append_image(payload.data.stream)
            progress(payload.length)
            position = payload.offset + payload.length
        compress_up_to(image.size)
        if not image.size:
            for _, data in compressed(image, codec):
                output.append(data)


def _check(payload: Payload, codec: Codec) -> None:
    length = content_size(payload.data, codec)
    if length != payload.length:
        raise UserError(
            f"{payload.data.path}: holds {length} bytes compressed, and the image that it belongs to has "
            f"{payload.length} bytes of data; compress it again"
        )


class _Output:
    """Writes data to a file sequentially, and adds it to a digest if there is one."""

    def __init__(self, fd: int, digest: RunningDigest | None) -> None:
        self._fd = fd
        self._digest = digest
        self._position = 0

    def append(self, data: Buffer) -> None:
        view = memoryview(data)
        if self._digest is not None:
            self._digest.add(self._position, view)
        while view:
            count = os.pwrite(self._fd, view, self._position)
            self._position += count
            view = view[count:]

    def append_image(self, image: Image) -> None:
        moved = Image.compose(self._position + image.size, [(self._position, image)])
        write_data(moved, self._fd, 0, digest=self._digest)
        self._position += image.size
