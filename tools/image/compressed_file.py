"""Writes compressed files of images and archives, and reuses parts that are already compressed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tools.core.errors import UserError
from tools.core.outputs import replacing
from tools.image.compression import Codec, Remember, compressed, unchanged
from tools.image.extents import Buffer, FileRange, Image, InputFile
from tools.image.rawfile import Progress, copy_range, no_progress
from tools.image.running_digest import RunningDigest

_CHUNK = 1 << 20


class Payload(NamedTuple):
    """A compressed file with the content of a range of an image.

    Attributes:
        offset: offset of the range in the image, in bytes.
        length: length of the range in bytes.
        file: the compressed file.
    """

    offset: int
    length: int
    file: InputFile


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
        payloads: ranges of the image that are already compressed with the same codec, in ascending order; these files
            are copied unchanged.
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
            output.append_file(payload.file)
            progress(payload.length)
            position = payload.offset + payload.length
        compress_up_to(image.size)
        if not image.size:
            for _, data in compressed(image, codec):
                output.append(data)


def _check(payload: Payload, codec: Codec) -> None:
    length = codec.content_size(payload.file)
    if length != payload.length:
        raise UserError(
            f"{payload.file.path}: holds {length} bytes compressed, and the image that it belongs to has "
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

    def append_file(self, file: InputFile) -> None:
        size = file.size()
        done = copy_range(FileRange(file), size, self._fd, self._position)
        if self._digest is not None:
            self._digest.add_range(self._position, FileRange(file), done)
        self._position += done
        for offset in range(done, size, _CHUNK):
            self.append(file.read(offset, min(_CHUNK, size - offset)))
