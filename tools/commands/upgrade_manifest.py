"""Writes the manifest of an upgrade image: what it installs, with a hash of each MiB.

The manifest is a file of its own so that it can be signed before the upgrade image is put together.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.gpt.listing import listing
from tools.image.digest import piece_digests
from tools.image.extents import Image
from tools.pieces.piece_digests import PIECE_SIZE, pieces_with_data, read_piece_digests
from tools.tar.artifacts import Artifact, member_of
from tools.tar.sparse_archive import Member
from tools.upgrade.manifest import DISTRIBUTION, ImageEntry, Manifest, encode


@dataclass(frozen=True, slots=True)
class DigestedArtifact(Artifact):
    """An image at an offset, and the file with the SHA-256 of each MiB of it, or None; see tools/pieces."""

    digests: str | None = None


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An image that an upgrade installs, and a file with the root hash of its dm-verity tree, if it has one."""

    name: str
    parts: tuple[DigestedArtifact, ...]
    root_hash_file: str | None = None


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    product: str = argument("what the images are of, such as appliance")
    variant: str = argument("such as dev or prod")
    architecture: str = argument("of the machines, such as x86_64")
    version: str | None = argument("of the images", default=None)
    version_file: FileName | None = argument("a file with the version, instead of --version", default=None)
    rollback_index: int | None = argument("below that of a confirmed system, machines refuse it", default=None)
    rollback_index_file: FileName | None = argument("a file with it, instead of --rollback_index", default=None)
    trust: str = argument("mode of trust of the machines: distribution or own_keys", default=DISTRIBUTION)
    layout: FileName | None = argument("partitions.csv of the machines' disks", default=None)
    disk_guid: str | None = argument("GUID of the disks; needed with --layout", default=None)
    images: tuple[ImageSpec, ...] = argument(
        'the images in order, as [{"name": "root.img", "root_hash_file": …, "parts": [{"image": …, "sources": […], '
        '"offset": …, "digests": …}]}]; the last is a file with the SHA-256 of each MiB, which is read then instead of '
        "the image"
    )
    output: OutputName = argument("the file to write")


def version_of(version: str | None, version_file: str | None) -> str:
    """Returns the version, or what stands in the file for it.

    Raises:
        UserError: neither is given, or both are, or the file can't be read.
    """
    if (version is None) == (version_file is None):
        raise UserError("--version, --version_file: give one of them, not both or none")
    return version if version is not None else _text(version_file or "")


def rollback_index_of(index: int | None, index_file: str | None) -> int:
    """Returns the rollback index, or the number in the file for it; 0 by default.

    Raises:
        UserError: both are given, or the file can't be read or has no number.
    """
    if index_file is None:
        return 0 if index is None else index
    if index is not None:
        raise UserError("--rollback_index, --rollback_index_file: give one of them, not both")
    text = _text(index_file)
    if not re.fullmatch("[0-9]{1,10}", text):
        raise UserError(f"{index_file}: {text!r} is not a number")
    return int(text)


def layout_digest(path: str | None, disk_guid: str | None) -> str | None:
    """Returns the SHA-256 of the list of a layout's partitions, in hexadecimal; None where there is no layout.

    Raises:
        UserError: only one of the two is given, or the layout is wrong.
    """
    if path is None and disk_guid is None:
        return None
    if path is None or disk_guid is None:
        raise UserError("--layout, --disk_guid: belong together; give both or none")
    return hashlib.sha256(listing(path, disk_guid)).hexdigest()


def entry_of(spec: ImageSpec) -> ImageEntry:
    """Returns the manifest's entry for an image; reads what has no digests yet.

    Raises:
        UserError: the image can't be read, or digests are not of it.
    """
    member = member_of(spec.name, spec.parts)
    image = member.image
    digests = _pieces(image, _known(spec, member, image))
    return ImageEntry(
        name=spec.name,
        size=image.size,
        root_hash=None if spec.root_hash_file is None else _text(spec.root_hash_file),
        piece_size=PIECE_SIZE,
        pieces=tuple(digest.hex() for digest in digests),
    )


def _known(spec: ImageSpec, member: Member, image: Image) -> dict[int, bytes]:
    """Returns the digests of pieces that need not be read: of holes, and of pieces that lie in a part with digests."""
    zeros = hashlib.sha256(bytes(PIECE_SIZE)).digest()
    found = dict.fromkeys(set(range(image.size // PIECE_SIZE)) - pieces_with_data(image), zeros)
    artifacts = sorted(spec.parts, key=lambda artifact: artifact.offset)
    for artifact, part in zip(artifacts, member.parts, strict=True):
        if artifact.digests is not None and part.offset % PIECE_SIZE == 0:
            given = read_piece_digests(artifact.digests, part.image).pieces
            ends = part.offset + part.image.size == image.size
            whole = part.image.size // PIECE_SIZE
            found |= {part.offset // PIECE_SIZE + n: digest for n, digest in given.items() if n < whole or ends}
    return found


def _pieces(image: Image, known: Mapping[int, bytes]) -> Iterator[bytes]:
    """Yields the digests of all pieces of an image, in order; reads those that are not known."""
    for is_known, numbers in groupby(range(-(-image.size // PIECE_SIZE)), known.__contains__):
        run = list(numbers)
        if is_known:
            yield from (known[number] for number in run)
        else:
            begin, end = run[0] * PIECE_SIZE, min((run[-1] + 1) * PIECE_SIZE, image.size)
            yield from piece_digests(image.slice(begin, end - begin), PIECE_SIZE)


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    version = version_of(arguments.version, arguments.version_file)
    manifest = Manifest(
        product=arguments.product,
        variant=arguments.variant,
        architecture=arguments.architecture,
        layout=layout_digest(arguments.layout, arguments.disk_guid),
        version=version,
        rollback_index=rollback_index_of(arguments.rollback_index, arguments.rollback_index_file),
        trust=arguments.trust,
        images=tuple(entry_of(spec) for spec in arguments.images),
    )
    data = encode(manifest)
    with replacing(arguments.output) as fd:
        write_all(fd, data)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
