"""Writes the list of the keys by which machines with an image accept upgrades or media, and checks these keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from guestos_tools.update_key_list import bootstrap_keys_text, update_keys_text
from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.core.outputs import replacing, write_all


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    variant: str = argument("of the machines, such as prod")
    use: Literal["bootstrap", "update"] = argument("what the keys sign: bootstrap media or upgrades", default="update")
    refused_key: tuple[FileName, ...] = argument("a key that must not be among them, such as one for tests", default=())
    output: FileName = argument("the file to write")
    keys: tuple[FileName, ...] = argument("PEM files, each with a public key of Ed25519", positional=True, default=())


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    text_of = update_keys_text if arguments.use == "update" else bootstrap_keys_text
    text = text_of(arguments.variant, arguments.keys, arguments.refused_key)
    with replacing(arguments.output) as fd:
        write_all(fd, text.encode())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
