"""Checks data against its dm-verity hash tree, and the tree against a root hash, as the kernel does when it reads.

The exit status is 0 if all matches; 1 if a block does not match, and the error names the first one; 2 if nothing can be
checked, for instance because there is no hash tree.

--json prints one object with the keys `matches` (true or false), `mismatch` (the first block that does not match, in
words, or null), `root_hash`, and of a tree that matches `data_size` in bytes, `data_block_size`, `hash_block_size`,
`salt` (hexadecimal digits) and `uuid`; these are null where it does not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName, Size
from tools.core.progress import progress
from tools.tar.image_file import open_image
from tools.verity.digests import DIGEST_SIZE
from tools.verity.superblock import Superblock
from tools.verity.tree import verify


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: FileName = argument("the data: a tar with one image, or a raw file or device", positional=True)
    hashes: FileName | None = argument(
        "what has the hash tree; by default it is in the input", default=None, positional=True
    )
    hash_offset: Size = argument("where the tree's superblock stands in hashes", default=0)
    root_hash: str | None = argument("the root hash, in hexadecimal digits", default=None)
    root_hash_file: FileName | None = argument("a file with the root hash", default=None)
    json: bool = argument("print JSON, for programs", default=False)


def root_hash_of(arguments: Arguments) -> bytes:
    """Returns the root hash.

    Raises:
        UserError: it is not given, given twice, or is none.
    """
    if (arguments.root_hash is None) == (arguments.root_hash_file is None):
        raise UserError("--root_hash, --root_hash_file: give one of them, not both or none")
    text = arguments.root_hash or ""
    if arguments.root_hash_file is not None:
        text = Path(arguments.root_hash_file).read_bytes().decode("ascii", "replace").strip()
    if not re.fullmatch(f"[0-9a-fA-F]{{{2 * DIGEST_SIZE}}}", text):
        raise UserError(f"the root hash {text[:80]!r} is not {2 * DIGEST_SIZE} hexadecimal digits; see `verity_image`")
    return bytes.fromhex(text)


def values_of(root_hash: bytes, superblock: Superblock | None, mismatch: str | None) -> dict[str, Any]:
    """Returns what --json prints."""
    return {
        "matches": superblock is not None,
        "mismatch": mismatch,
        "root_hash": root_hash.hex(),
        "data_size": superblock and superblock.data_size,
        "data_block_size": superblock and superblock.data_block_size,
        "hash_block_size": superblock and superblock.hash_block_size,
        "salt": superblock and superblock.salt.hex(),
        "uuid": superblock and str(superblock.uuid),
    }


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: a block does not match.
    """
    root_hash = root_hash_of(arguments)
    data = open_image(arguments.input)
    hashes = data if arguments.hashes is None else open_image(arguments.hashes)
    superblock, mismatch = None, None
    with progress(f"verifying {arguments.input}", data.data_size) as tell:
        try:
            superblock = verify(data, hashes, root_hash, arguments.hash_offset, tell)
        except CheckError as error:
            mismatch = str(error)
        except UserError as error:
            raise UserError(f"{arguments.input}: {error}") from error
    if arguments.json:
        print(json.dumps(values_of(root_hash, superblock, mismatch), indent=2))
    if mismatch is not None:
        raise CheckError(f"{arguments.input}: {mismatch}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
