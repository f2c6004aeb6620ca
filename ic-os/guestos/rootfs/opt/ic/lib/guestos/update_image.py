"""Reads an update image as a stream of pieces; each piece is verified before it is returned.

The manifest comes first, and its signature is verified before anything else is read. The images must follow in the
order and with the sizes of the manifest, so no more than the declared amount is read. A piece is hashed and returned
from the same memory, so a change of the file in the meantime has no effect.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from guestos import compressed_stream, manifest, signatures
from guestos.errors import GuestError, ImageError
from guestos.manifest import PIECE_SIZE, Image, Manifest
from guestos.regular_file import open_regular
from guestos.tar_stream import Member, TarStream
from guestos.update_keys import Key, Trust

_ZEROS = bytes(PIECE_SIZE)
_ZEROS_DIGEST = hashlib.sha256(_ZEROS).digest()


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an image.

    Attributes:
        offset: in bytes.
        length: in bytes.
        data: None if all of it is zeros.
    """

    offset: int
    length: int
    data: bytes | None


class UpdateImage(Protocol):
    """An update image whose manifest has a valid signature.

    Attributes:
        manifest: the manifest.
        key: the trusted key that signed it.
    """

    manifest: Manifest
    key: Key

    def pieces(self, image: Image) -> Iterator[Piece]:
        """Yields the pieces of an image. The caller reads the images in the order of the manifest.

        Raises:
            ImageError: a piece is missing, or its hash differs from the manifest.
        """

    def finish(self) -> None:
        """Checks the rest of the archive, after the images.

        Raises:
            ImageError: the version file is missing or differs from the manifest, or something follows it.
        """


@contextlib.contextmanager
def open_archive(path: str, trust: Trust) -> Iterator[UpdateImage]:
    """Opens an update image and verifies its signature.

    Args:
        path: of a tar, plain or compressed by gzip or zstd; `-` is standard input.
        trust: what the signature is verified with.

    Raises:
        ImageError: it is not an update image, or is not signed by a trusted key.
        GuestError: it cannot be read.
    """
    with compressed_stream.open_stream(path) as stream:
        yield _Archive(TarStream(stream), trust)


@contextlib.contextmanager
def open_files(boot: str, root: str, manifest_path: str, trust: Trust) -> Iterator[UpdateImage]:
    """Opens an unpacked update image and verifies its signature.

    Args:
        boot: path of boot.img.
        root: path of root.img.
        manifest_path: path of the manifest; the file of its signatures is in the same directory.
        trust: what the signature is verified with.

    Raises:
        ImageError: the manifest is invalid, or is not signed by a trusted key.
        GuestError: a file cannot be read.
    """
    data = _read_file(manifest_path, manifest.MOST_BYTES)
    folder = os.path.dirname(manifest_path)
    signature_path = os.path.join(folder, manifest.SIGNATURE_NAME)
    signature = _read_file(signature_path, signatures.MOST_BYTES) if os.path.exists(signature_path) else None
    key = signatures.verify(data, signature, trust)
    with contextlib.ExitStack() as cleanup:
        files = {manifest.BOOT: _open(boot, cleanup), manifest.ROOT: _open(root, cleanup)}
        yield _Files(manifest.parse(data), key, files)


class _Archive:
    def __init__(self, tar: TarStream, trust: Trust) -> None:
        self._tar = tar
        data = self._small(manifest.NAME, manifest.MOST_BYTES, self._next(manifest.NAME))
        member = self._tar.next()
        signature = None
        if member is not None and member.name == manifest.SIGNATURE_NAME:
            signature = self._small(manifest.SIGNATURE_NAME, signatures.MOST_BYTES, member)
            member = self._tar.next()
        self.key = signatures.verify(data, signature, trust)
        self.manifest = manifest.parse(data)
        self._check_next(member, manifest.BOOT)
        self._member = member

    def pieces(self, image: Image) -> Iterator[Piece]:
        member = self._member or self._next(image.name)
        self._member = None
        if member.name != image.name or member.size != image.size:
            found = f"{member.name} of {member.size} bytes"
            raise ImageError(f"the archive has {found} where the manifest has {image.name} of {image.size} bytes")
        return _checked(image, _Assembler(member, self._tar).piece)

    def finish(self) -> None:
        text = self._small(manifest.VERSION_NAME, 1024, self._next(manifest.VERSION_NAME))
        if text != f"{self.manifest.version}\n".encode():
            raise ImageError(f"{manifest.VERSION_NAME} contains {text!r}, but the manifest {self.manifest.version!r}")
        member = self._tar.next()
        if member is not None:
            raise ImageError(f"the archive has {member.name}, which is not part of an update image")

    def _next(self, name: str) -> Member:
        member = self._tar.next()
        self._check_next(member, name)
        assert member is not None
        return member

    def _check_next(self, member: Member | None, name: str) -> None:
        if member is None or member.name != name:
            found = "ends" if member is None else f"has {member.name}"
            raise ImageError(f"the archive {found} where {name} is expected")

    def _small(self, name: str, most: int, member: Member) -> bytes:
        if member.size > most or member.ranges != ((0, member.size),):
            raise ImageError(f"{name} has {member.size} bytes, or holes; it must have 1 to {most} bytes of data")
        return self._tar.read(member.size)


class _Assembler:
    """Returns the pieces of a member, in order, from the ranges of its data."""

    def __init__(self, member: Member, tar: TarStream) -> None:
        self._ranges = iter(member.ranges)
        self._tar = tar
        self._range = next(self._ranges, None)

    def piece(self, offset: int, length: int) -> bytes | None:
        """Returns the bytes of a piece; None if all of it is in a hole."""
        end = offset + length
        if self._range is None or self._range[0] >= end:
            return None
        if self._range[0] <= offset and sum(self._range) >= end:
            return self._take(length)
        parts = bytearray(length)
        while self._range is not None and self._range[0] < end:
            begin = self._range[0]
            count = min(sum(self._range), end) - begin
            parts[begin - offset : begin - offset + count] = self._take(count)
        return bytes(parts)

    def _take(self, length: int) -> bytes:
        assert self._range is not None
        begin, left = self._range
        self._range = (begin + length, left - length) if left > length else next(self._ranges, None)
        return self._tar.read(length)


class _Files:
    def __init__(self, parsed: Manifest, key: Key, files: dict[str, int]) -> None:
        self.manifest = parsed
        self.key = key
        self._files = files

    def pieces(self, image: Image) -> Iterator[Piece]:
        file = self._files[image.name]
        size = os.fstat(file).st_size
        if size != image.size:
            raise ImageError(f"{image.name} has {size} bytes, but the manifest says {image.size}")

        def read(offset: int, length: int) -> bytes | None:
            return None if _is_hole(file, offset, length) else os.pread(file, length, offset)

        return _checked(image, read)

    def finish(self) -> None:
        """Does nothing: an unpacked update image has no rest."""


def _checked(image: Image, read: Callable[[int, int], bytes | None]) -> Iterator[Piece]:
    """Verifies the pieces of an image against the manifest and yields them.

    Args:
        image: the image in the manifest.
        read: returns the bytes at an offset, of a length; None if all of them are zeros.
    """
    for index, expected in enumerate(image.pieces):
        offset, length = index * PIECE_SIZE, image.length(index)
        data = read(offset, length)
        if data is not None and data == _ZEROS[:length]:
            data = None
        if piece_digest(data, length) != expected:
            raise ImageError(f"{image.name} is damaged: bytes {offset} to {offset + length} do not match their hash")
        yield Piece(offset, length, data)


def piece_digest(data: bytes | None, length: int) -> bytes:
    """Returns the SHA-256 of a piece of `length` bytes; None stands for zeros."""
    if data is not None:
        return hashlib.sha256(data).digest()
    return _ZEROS_DIGEST if length == PIECE_SIZE else hashlib.sha256(_ZEROS[:length]).digest()


def _is_hole(file: int, offset: int, length: int) -> bool:
    try:
        return os.lseek(file, offset, os.SEEK_DATA) >= offset + length
    except OSError:  # ENXIO: no data from here on. Other errors: SEEK_DATA is not supported, so compare the bytes.
        return os.lseek(file, 0, os.SEEK_END) >= offset + length and os.pread(file, length, offset) == _ZEROS[:length]


def _open(path: str, cleanup: contextlib.ExitStack) -> int:
    file = open_regular(path)
    cleanup.callback(os.close, file)
    return file


def _read_file(path: str, most: int) -> bytes:
    try:
        with open(open_regular(path), "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > most:
        raise ImageError(f"{path}: has more than {most} bytes")
    return data
