"""Intermediate artifacts that build actions pass on: images, their compressed data, and archives of them.

An image is a tar with one file, `NAME.img.tar`, or a recipe, `NAME.img.recipe` (see `tools.image.recipe`).
`NAME.data.zst` and `NAME.data.gz` are its data, compressed, without headers and holes, as the tar stores it. A
compressed archive with the image reuses the compressed data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.core.json_spec import Size
from tools.core.progress import progress
from tools.image.checksum_file import checksum_beside
from tools.image.compressed_data import CompressedData, open_compressed
from tools.image.compressed_file import Payload, write_compressed
from tools.image.compression import Codec, Gzip, Zstd
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.tar.sparse_archive import Archive, Member, Part

_UNIT = 512


@dataclass(frozen=True, slots=True)
class Artifact:
    """An image, and its offset in a larger image.

    Attributes:
        image: path of a tar with one file, of a raw file, or of a recipe.
        offset: in bytes.
        zst: path of its data compressed with zstd, or of a recipe of that; or None.
        gz: path of its data compressed with gzip, or of a recipe of that; or None.
        sources: paths of the files that the recipe of the image was made with, in the same order.
        zst_sources: the same for the recipe `zst`.
        gz_sources: the same for the recipe `gz`.
    """

    image: str
    offset: Size = 0
    zst: str | None = None
    gz: str | None = None
    sources: tuple[str, ...] = ()
    zst_sources: tuple[str, ...] = ()
    gz_sources: tuple[str, ...] = ()

    def payloads(self) -> dict[str, CompressedData]:
        """Opens the compressed data; returns it by the names of codecs.

        Raises:
            UserError: it can't be read.
        """
        paths = {Zstd.name: (self.zst, self.zst_sources), Gzip.name: (self.gz, self.gz_sources)}
        return {name: open_compressed(path, given) for name, (path, given) in paths.items() if path is not None}


@dataclass(frozen=True, slots=True)
class Outputs:
    """Paths of the files to write; None for a file that is not to be written."""

    tar: str | None = None
    zst: str | None = None
    gz: str | None = None


def open_parts(artifacts: Sequence[Artifact], what: str) -> list[Part]:
    """Opens artifacts as parts of a member of an archive, in ascending order of offsets.

    Args:
        artifacts: the artifacts, in any order, with their offsets in the member.
        what: name of the member in messages.

    Raises:
        UserError: an artifact can't be read, overlaps another, or its offset or size is not a multiple of 512 bytes.
    """
    parts: list[Part] = []
    end = 0
    before = ""
    for artifact in sorted(artifacts, key=lambda artifact: artifact.offset):
        image = open_image(artifact.image, artifact.sources)
        if artifact.offset % _UNIT or image.size % _UNIT:
            size = f"an offset of {artifact.offset} and {image.size} bytes"
            raise UserError(f"{what}: {artifact.image} has {size}; both must be multiples of {_UNIT}")
        if artifact.offset < end:
            raise UserError(f"{what}: {artifact.image} at {artifact.offset} overlaps {before}, which ends at {end}")
        parts.append(Part(artifact.offset, image, payloads=artifact.payloads()))
        end = artifact.offset + image.size
        before = artifact.image
    return parts


def member_of(name: str, artifacts: Sequence[Artifact]) -> Member:
    """Opens artifacts as a member of an archive; its size is the end of the last artifact.

    Raises:
        UserError: see `open_parts`.
    """
    parts = open_parts(artifacts, name)
    return Member(name, parts[-1].offset + parts[-1].image.size if parts else 0, parts)


def write_archive(archive: Archive, outputs: Outputs, checksums: bool = False) -> None:
    """Writes an archive, uncompressed and compressed; reuses compressed data of its parts.

    Args:
        archive: the archive.
        outputs: where to write it.
        checksums: whether each output gets its SHA-256 beside it, in a file with `.sha256` after its name.

    Raises:
        UserError: an output can't be written, or an input can't be read.
    """
    if outputs.tar is not None:
        shown = progress(f"writing {outputs.tar}", archive.image.data_size)
        with shown as report, checksum_beside(outputs.tar, checksums) as digest:
            write_raw(archive.image, outputs.tar, report, digest=digest)
    codecs: list[tuple[Codec, str | None]] = [(Zstd(), outputs.zst), (Gzip(), outputs.gz)]
    for codec, path in codecs:
        if path is not None:
            payloads = [
                Payload(part.offset, part.length, part.payloads[codec.name])
                for part in archive.parts
                if codec.name in part.payloads
            ]
            shown = progress(f"writing {path}", archive.image.size)
            with shown as report, checksum_beside(path, checksums) as digest:
                write_compressed(archive.image, path, codec, payloads=payloads, progress=report, digest=digest)
