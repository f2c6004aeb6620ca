"""Writes the arguments that a slot adds to its kernel's command line as a GRUB environment block.

The inputs are text: words, and comments from `#` to the end of the line. The output is a GRUB environment block (GRUB
manual, "The GRUB environment block"): 1024 bytes, one variable, padded with `#`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all

VARIABLE = "extra_boot_args"
_HEADER = b"# GRUB Environment Block\n"
_SIZE = 1024


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    input: tuple[FileName, ...] = argument("a file with arguments", default=(), positional=True)
    word: tuple[str, ...] = argument("an argument to add", default=())
    root_hash_file: FileName | None = argument(
        "file with the root hash of the root partition's hash tree", default=None
    )
    root_hash_argument: str = argument("the argument that hands the root hash over", default="verity.root_hash")
    output: OutputName = argument("the file to write")


def words(text: str) -> list[str]:
    """Returns the words of a text without its comments."""
    return [word for line in text.splitlines() for word in line.partition("#")[0].split()]


def arguments_of(
    paths: Sequence[str], more: Sequence[str], root_hash_file: str | None, *, root_hash_argument: str
) -> list[str]:
    """Returns the arguments that files have, further ones, and that with the root hash.

    Args:
        paths: of the files.
        more: further arguments.
        root_hash_file: path of a file with the root hash; None for none.
        root_hash_argument: name of the argument that hands the root hash over.

    Raises:
        UserError: a file is not text.
    """
    given = [word for path in paths for word in words(_text(path))]
    given += more
    if root_hash_file is not None:
        given.append(f"{root_hash_argument}={_text(root_hash_file).strip()}")
    return given


def environment_block(arguments: list[str]) -> bytes:
    """Returns an environment block that sets the variable to arguments.

    Raises:
        UserError: they have characters that GRUB or the kernel would take for something else, or are too many.
    """
    for word in arguments:
        if not re.fullmatch(r"[!-~]+", word) or re.search(r"[\\\"'$]", word):
            raise UserError(f"{word!r}: must be printable ASCII without quotes, backslashes and dollar signs")
    line = f"{VARIABLE}={' '.join(arguments)}\n".encode()
    room = _SIZE - len(_HEADER) - len(line)
    if room < 0:
        raise UserError(
            f"the arguments are {-room} bytes too long for an environment block of {_SIZE} bytes; shorten them"
        )
    return _HEADER + line + b"#" * room


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not text: {error}") from error


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    given = arguments_of(
        arguments.input, arguments.word, arguments.root_hash_file, root_hash_argument=arguments.root_hash_argument
    )
    data = environment_block(given)
    with replacing(arguments.output) as fd:
        write_all(fd, data)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
