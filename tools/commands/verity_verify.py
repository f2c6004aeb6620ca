"""Checks data against its dm-verity hash tree, and the tree against a root hash, as the kernel does when it reads.

Ends with an error that names the first block that does not match.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import Size
from tools.core.progress import progress
from tools.tar.image_file import open_image
from tools.verity.digests import DIGEST_SIZE
from tools.verity.tree import verify


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: str = argument("the data: a tar with one image, or a raw file or device")
    hashes: str | None = argument("what has the hash tree; by default it is in the input", default=None)
    hash_offset: Size = argument("where the tree's superblock stands in hashes", default=0)
    root_hash: str | None = argument("the root hash, in hexadecimal digits", default=None)
    root_hash_file: str | None = argument("a file with the root hash", default=None)


def root_hash_of(arguments: Arguments) -> bytes:
    """Returns the root hash.

    Raises:
        UserError: it is not given, given twice, or is none.
    """
    if (arguments.root_hash is None) == (arguments.root_hash_file is None):
        raise UserError("give either --root_hash or --root_hash_file")
    text = arguments.root_hash or ""
    if arguments.root_hash_file is not None:
        text = Path(arguments.root_hash_file).read_bytes().decode("ascii", "replace").strip()
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * DIGEST_SIZE}}}", text):
        raise UserError(f"root hash {text[:80]!r} is not {2 * DIGEST_SIZE} hexadecimal digits")
    return bytes.fromhex(text)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    root_hash = root_hash_of(arguments)
    data = open_image(arguments.input)
    hashes = data if arguments.hashes is None else open_image(arguments.hashes)
    with progress(f"verifying {arguments.input}", data.data_size) as tell:
        try:
            verify(data, hashes, root_hash, arguments.hash_offset, tell)
        except UserError as error:
            raise UserError(f"{arguments.input}: {error}") from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
