"""The output of the commands that build the image of a file system, and the name of the image in it."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tools.core.cli import argument
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.progress import progress
from tools.core.worker import input_digest, is_worker
from tools.image.checksum_file import digest_for_bazel
from tools.image.extents import Image
from tools.image.holes import BLOCK_SIZE
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.pieces.kept_digests import DigestStore
from tools.pieces.piece_digests import PieceDigests, digests_of
from tools.tar.image_file import open_image
from tools.tar.sparse_archive import Member, archive_of
from tools.tree.capacity import CapacityError


@dataclass(frozen=True, kw_only=True)
class ImageOutput:
    """Arguments of a command that writes an image: as the one member of a tar, as it is, or as a recipe."""

    output: OutputName = argument("file to write")
    member: str | None = argument("name of the image in the output; by default the output's without .tar", default=None)
    raw: bool = argument("write the image itself, instead of a tar with it", default=False)
    recipe: bool = argument(
        "write a recipe of the image: what is in no source, and ranges of the sources; see tools/image/recipe.py",
        default=False,
    )
    source: tuple[FileName, ...] = argument(
        "an input, or a folder of some, that a reader of the recipe is given, too, in the same order", default=()
    )
    digests: OutputName | None = argument(
        "file to write with the SHA-256 of each MiB of the image; see tools/pieces/piece_digests.py", default=None
    )
    size_attribute: str = argument(
        "what sets the size, such as //app:disk: root_files_size; named if the tree doesn't fit", default=""
    )

    @property
    def name(self) -> str:
        """The name of the image, in the tar and in messages."""
        return self.member or os.path.basename(self.output).removesuffix(".tar")

    @contextmanager
    def naming_errors(self) -> Iterator[None]:
        """Puts a name before the message of a `UserError`: what sets the size if the tree doesn't fit, or the image."""
        try:
            yield
        except CapacityError as error:
            named = error.at(self.size_attribute) if self.size_attribute else UserError(f"{self.name}: {error}")
            raise named from error
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from error

    def write(self, image: Image, block_size: int = BLOCK_SIZE) -> None:
        """Writes the image.

        Args:
            image: what to write.
            block_size: of the map in the tar, in bytes; see `Member.of`.

        Raises:
            UserError: the output cannot be written, or several forms of it are asked for.
        """
        if self.raw and self.recipe:
            raise UserError("--raw, --recipe: exclude each other; give one of them")
        if self.source and not self.recipe:
            raise UserError("--source: is for --recipe; give both")
        written = image
        if self.recipe:
            written = recipe_of(image, self.source, block_size)
        elif not self.raw:
            written = archive_of([Member.of(self.name, image, block_size)]).image
        shown = progress(f"writing {self.output}", written.data_size)
        with shown as tell, digest_for_bazel(self.output) as digest:
            write_raw(written, self.output, tell, digest=digest)
        if self.digests is not None:
            _digests_of(open_image(self.output, self.source), image).write(self.digests)


@functools.cache
def _store() -> DigestStore:
    """Returns what a worker keeps: digests of pieces."""
    return DigestStore()


def _digests_of(image: Image, origin: Image) -> PieceDigests:
    """Computes the digests of an image's pieces. A worker reads only what it has not hashed before.

    Args:
        image: the image, as it is read from the output.
        origin: the image that was written.
    """
    return _store().digests_of(image, origin, input_digest) if is_worker() else digests_of(image)
