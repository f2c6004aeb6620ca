"""Makes the dm-verity hash tree over the image of a partition, and writes it and its root hash.

The data is not copied: the tree is an image of its own, which stands after the data or on another device. It is what
`veritysetup format` makes with the same salt and UUID.
"""

from __future__ import annotations

import functools
import os
import re
from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName, Size
from tools.core.outputs import replacing, write_all
from tools.core.progress import progress
from tools.core.worker import is_worker
from tools.image.checksum_file import digest_for_bazel
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.pieces.kept_hashes import HashStore, hash_tree_by_digests
from tools.pieces.piece_digests import digests_of, read_piece_digests
from tools.tar.image_file import open_image
from tools.tar.sparse_archive import Member, archive_of
from tools.verity.superblock import Superblock
from tools.verity.tree import check_hash_offset, hash_tree, hash_tree_size


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the data: a tar with one image, a raw file, or a recipe", positional=True)
    output: OutputName = argument("the tar to write, with the hash tree as its one file", positional=True)
    source: tuple[FileName, ...] = argument(
        "a file that the recipe was made with; all of them, in the same order", default=()
    )
    root_hash_file: OutputName = argument("the file to write with the root hash, in hexadecimal digits")
    digests: FileName | None = argument(
        "file with the SHA-256 of each MiB of the data, which the command that made the data wrote", default=None
    )
    hash_digests: OutputName | None = argument("file to write with the SHA-256 of each MiB of the tree", default=None)
    salt: str = argument("hexadecimal digits, at most 256 bytes; - for none")
    uuid: str = argument("UUID of the hash tree")
    data_block_size: int = argument("1024, 2048 or 4096 bytes", default=4096)
    hash_block_size: int = argument("1024, 2048 or 4096 bytes", default=4096)
    hash_offset: Size | None = argument(
        "where the tree is going to stand in the partition; only checked: default is after the data", default=None
    )
    partition_size: Size | None = argument("size that data and tree must fit into; only checked", default=None)
    member: str | None = argument("name of the tree in the output; by default the output's without .tar", default=None)
    raw: bool = argument("write the tree itself, instead of a tar with it", default=False)
    recipe: bool = argument(
        "write a recipe of the tree, in which what repeats in it stands once; see tools/image/recipe.py", default=False
    )


def parameters_of(arguments: Arguments, data_size: int) -> Superblock:
    """Returns what to make the tree with.

    Raises:
        UserError: a parameter is out of its range, or the tree doesn't fit the partition.
    """
    salt = "" if arguments.salt == "-" else arguments.salt
    if not re.fullmatch("([0-9a-fA-F]{2})*", salt) or not arguments.salt:
        raise UserError(f"--salt: {arguments.salt!r} is not pairs of hexadecimal digits; - is no salt")
    try:
        uuid = UUID(arguments.uuid)
    except ValueError:
        raise UserError(f"--uuid: {arguments.uuid!r} is not a UUID; `uuidgen` makes one") from None
    parameters = Superblock(
        data_size=data_size,
        salt=bytes.fromhex(salt),
        uuid=uuid,
        data_block_size=arguments.data_block_size,
        hash_block_size=arguments.hash_block_size,
    )
    offset = data_size if arguments.hash_offset is None else arguments.hash_offset
    check_hash_offset(offset, parameters)
    end = offset + hash_tree_size(parameters)
    if arguments.partition_size is not None and end > arguments.partition_size:
        raise UserError(
            f"the hash tree of {arguments.input} ends at byte {end}, but the partition has {arguments.partition_size}"
        )
    return parameters


@functools.cache
def _store() -> HashStore:
    """Returns what a worker keeps: digests of blocks."""
    return HashStore()


def _output_of(arguments: Arguments, tree: Image) -> Image:
    """Returns the content of the output."""
    if arguments.raw:
        return tree
    if arguments.recipe:
        return recipe_of(tree, ())
    name = arguments.member or os.path.basename(arguments.output).removesuffix(".tar")
    return archive_of([Member.of(name, tree)]).image


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if arguments.raw and arguments.recipe:
        raise UserError("--raw, --recipe: exclude each other; give one of them")
    data = open_image(arguments.input, arguments.source)
    parameters = parameters_of(arguments, data.size)
    with progress(f"hashing {arguments.input}", data.data_size) as tell:
        if arguments.digests is not None and is_worker():
            given = read_piece_digests(arguments.digests, data)
            tree = hash_tree_by_digests(data, given, parameters, _store(), tell)
        else:
            tree = hash_tree(data, parameters, tell)
    image = _output_of(arguments, tree.image)
    with replacing(arguments.root_hash_file) as fd:
        write_all(fd, f"{tree.root_hash.hex()}\n".encode())
        shown = progress(f"writing {arguments.output}", image.data_size)
        with shown as tell, digest_for_bazel(arguments.output) as digest:
            write_raw(image, arguments.output, tell, digest=digest)
    if arguments.hash_digests is not None:
        digests_of(open_image(arguments.output)).write(arguments.hash_digests)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
