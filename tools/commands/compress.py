"""Compresses a file, or the data of an image, in pieces that are independent of each other.

The format follows from the output's suffix: .zst or .gz. The result is the same however many processors there are. With
--base, the output is a recipe of the same result.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName, Size
from tools.core.progress import progress
from tools.core.worker import is_worker
from tools.image.checksum_file import digest_for_bazel
from tools.image.compressed_data import open_compressed
from tools.image.compressed_file import write_compressed
from tools.image.compression import Codec, Gzip, Zstd, unchanged
from tools.image.extents import Image
from tools.image.piece_store import PieceStore
from tools.image.rawfile import open_allocated, write_raw
from tools.image.recipe import recipe_of
from tools.image.recipe_reader import is_recipe
from tools.pieces.base_compression import Base, compressed_over
from tools.pieces.kept_compression import write_data
from tools.pieces.piece_digests import read_piece_digests
from tools.pieces.windows import fits
from tools.tar.image_file import open_image, open_member
from tools.tar.sparse_archive import data_cuts, data_of

_RECIPE = ".recipe"


@dataclass(frozen=True, slots=True)
class BaseSpec:
    """An image that another one is compressed over.

    Attributes:
        image: path of a tar with one image, or of a recipe.
        digests: path of the file with the SHA-256 of each MiB of it.
        data: path of its data, compressed by this command with the same parameters.
        sources: paths of the files that the recipe was made with, in the same order.
    """

    image: str
    digests: str
    data: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the file to compress", positional=True)
    output: OutputName = argument(
        "the file to write, which ends in .zst or .gz; and with --base in .recipe after that", positional=True
    )
    data: bool = argument(
        "whether the input is a tar with an image (or a recipe of one), of which just the data is compressed, without "
        "headers and holes: what archives that hold the image take over",
        default=False,
    )
    source: tuple[FileName, ...] = argument(
        "a file that the recipe was made with; all of them, in the same order; for --data", default=()
    )
    digests: FileName | None = argument(
        "file with the SHA-256 of each MiB of the image, which the command that made the image wrote; for --data",
        default=None,
    )
    base: BaseSpec | None = argument(
        'an image with much of the same data at the same places, as {"image": …, "sources": […], "digests": …, "data": '
        "…}: what of its compressed data is the same is a range of that file in the recipe that the output is then",
        default=None,
    )
    level: int | None = argument("zstd: 1 to 22, default 3; gzip: 0 to 12, default 5", default=None)
    window_log: int | None = argument(
        "zstd: how far back matches may lie, as a power of two; default 23, which is 8 MiB", default=None
    )
    piece_size: Size | None = argument("what is compressed by itself; default 8M for zstd, 4M for gzip", default=None)
    threads: int | None = argument("how many pieces to compress at once; default: by processors", default=None)


def codec_of(arguments: Arguments) -> Codec:
    """Returns the format that arguments ask for.

    Raises:
        UserError: the output has no known suffix, or the format has no such parameter or value.
    """
    given = {"level": arguments.level, "piece_size": arguments.piece_size}
    options = {name: value for name, value in given.items() if value is not None}
    if options.get("piece_size", 1) <= 0:
        raise UserError("--piece_size: must be at least 1 byte, such as 4M")
    output = arguments.output.removesuffix(_RECIPE)
    if output.endswith(".zst"):
        _check("level", arguments.level, 1, 22)
        _check("window_log", arguments.window_log, 10, 27)
        if arguments.window_log is not None:
            options["window_log"] = arguments.window_log
        return Zstd(**options)
    if output.endswith(".gz"):
        _check("level", arguments.level, 0, 12)
        if arguments.window_log is not None:
            raise UserError("--window_log: is a parameter of zstd; leave it out for .gz")
        return Gzip(**options)
    raise UserError(f"--output: {arguments.output} must end in .zst or .gz")


def _check(name: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise UserError(f"--{name}: must be from {least} to {most}, not {value}")


@functools.cache
def _store() -> PieceStore:
    """Returns what a worker keeps: pieces, by their content."""
    return PieceStore()


def _open(arguments: Arguments) -> Image:
    """Opens the image whose data is compressed."""
    if arguments.source or is_recipe(arguments.input):
        return open_image(arguments.input, arguments.source)
    return open_member(arguments.input)


def _check_data(arguments: Arguments, codec: Codec) -> None:
    """Checks that what belongs together is given.

    Raises:
        UserError: something is missing, or does not fit the rest.
    """
    if arguments.digests is not None and not arguments.data:
        raise UserError("--digests: are those of an image, of which --data compresses the data; give both")
    if arguments.source and not arguments.data:
        raise UserError("--source: is of a recipe of an image, of which --data compresses the data; give both")
    if arguments.output.endswith(_RECIPE) != (arguments.base is not None):
        raise UserError("--base: is for an output that ends in .recipe, and such an output needs it; give both or none")
    if arguments.base is not None and arguments.digests is None:
        raise UserError("--base: is compared with the image by --digests; give both")
    if arguments.base is not None and not fits(codec):
        raise UserError("--piece_size: must be a multiple of 1M with --base, since digests are of each MiB")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    codec = codec_of(arguments)
    _check("threads", arguments.threads, 1, 1024)
    _check_data(arguments, codec)
    image, cuts = open_allocated(arguments.input), []
    if arguments.data:
        member = _open(arguments)
        image, cuts = data_of(member), data_cuts(member, codec.piece_size)
    remember = _store().remembering if is_worker() else unchanged
    shown = progress(f"compressing {arguments.input}", image.size)
    with shown as tell, digest_for_bazel(arguments.output) as digest:
        if arguments.base is not None and arguments.digests is not None:
            base, given = _base_of(arguments.base), read_piece_digests(arguments.digests, member)
            threads = arguments.threads
            over = compressed_over(member, given, base, codec, remember=remember, threads=threads, progress=tell)
            write_raw(recipe_of(over, [arguments.base.data]), arguments.output, digest=digest)
            return
        if arguments.digests is not None and is_worker() and fits(codec):
            given = read_piece_digests(arguments.digests, member)
            store, threads = _store(), arguments.threads
            write_data(member, given, arguments.output, codec, store, threads=threads, progress=tell, digest=digest)
            return
        write_compressed(
            image,
            arguments.output,
            codec,
            threads=arguments.threads,
            cuts=cuts,
            remember=remember,
            progress=tell,
            digest=digest,
        )


def _base_of(spec: BaseSpec) -> Base:
    """Opens a base.

    Raises:
        UserError: it cannot be read, or its digests are not of it.
    """
    image = open_image(spec.image, spec.sources)
    return Base(image, read_piece_digests(spec.digests, image), open_compressed(spec.data))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
