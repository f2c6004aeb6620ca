"""Writes a layout, a partitions.csv, whose partitions have the UUIDs by which systemd finds those of a root hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all
from tools.ddi.layout import layout_with_root_hashes
from tools.ddi.signature import read_root_hash


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    layout: FileName = argument("the layout")
    root_hash_file: dict[str, FileName] = argument("name of a partition, and a file with the root hash of its content")
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    try:
        text = Path(arguments.layout).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{arguments.layout}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{arguments.layout}: is not UTF-8 text: {error.reason} at byte {error.start}") from error
    root_hashes = {name: read_root_hash(path) for name, path in arguments.root_hash_file.items()}
    with replacing(arguments.output) as fd:
        write_all(fd, layout_with_root_hashes(text, arguments.layout, root_hashes).encode())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
