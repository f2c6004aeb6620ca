"""Puts images into the partitions of a disk, and writes the disk as a tar, plain or compressed, or as a raw file.

The tar has one sparse member, so that its size follows what the partitions hold and not the size of the disk.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName
from tools.core.progress import progress
from tools.gpt.arguments import TableArguments, table_of
from tools.gpt.disk import Content, check_contents
from tools.gpt.table import Table, encode
from tools.image.checksum_file import checksum_beside
from tools.image.holes import BLOCK_SIZE
from tools.image.rawfile import write_raw
from tools.tar.artifacts import Artifact, Outputs, open_parts, write_archive
from tools.tar.sparse_archive import Member, Part, archive_of


@dataclass(frozen=True, slots=True)
class PartitionSpec:
    """What a partition holds: images at offsets from its start; and its label, for messages."""

    name: str
    parts: tuple[Artifact, ...]
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Arguments(TableArguments):
    """Arguments of the command line."""

    partitions: tuple[PartitionSpec, ...] = argument(
        'what partitions hold, as [{"name": …, "parts": [{"image": …, "sources": […], "offset": …, "zst": …, "gz": …}]'
        "}]: the tar of an image (or a raw file, or a recipe with its sources), where it stands in the partition (0), "
        "and its data compressed by `compress --data`",
        default=(),
    )
    member: str = argument("name of the disk in the tar", default="disk.img")
    output_tar: OutputName | None = argument("the tar to write", default=None)
    output_zst: OutputName | None = argument("the tar to write, compressed as zstd", default=None)
    output_gz: OutputName | None = argument("the tar to write, compressed as gzip", default=None)
    output_raw: OutputName | None = argument("the disk to write as a raw file with holes", default=None)
    sha256: bool = argument(
        "whether each output gets its SHA-256 beside it, in a file with .sha256 after its name, for sha256sum --check",
        default=False,
    )


def parts_of(table: Table, partitions: tuple[PartitionSpec, ...], layout: str) -> list[Part]:
    """Returns a disk as parts of an archive's member: the two partition tables, and what partitions hold.

    Raises:
        UserError: a partition is unknown or given twice, or what it holds doesn't fit.
    """
    disk = encode(table)
    begin = min((entry.offset for entry in table.entries), default=disk.size)
    end = max((entry.offset + entry.size for entry in table.entries), default=disk.size)
    parts = [Part(0, disk.slice(0, begin), BLOCK_SIZE), Part(end, disk.slice(end, disk.size - end), BLOCK_SIZE)]
    opened = [(partition, open_parts(partition.parts, f"partition {partition.name}")) for partition in partitions]
    check_contents(table, (_content(partition, inside) for partition, inside in opened), layout)
    offsets = {entry.name: entry.offset for entry in table.entries}
    for partition, inside in opened:
        parts.extend(replace(part, offset=offsets[partition.name] + part.offset) for part in inside)
    return sorted(parts, key=lambda part: part.offset)


def _content(partition: PartitionSpec, parts: list[Part]) -> Content:
    size = max((part.offset + part.image.size for part in parts), default=0)
    return Content(partition.name, size, f" for {partition.label}" if partition.label else "")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    outputs = Outputs(tar=arguments.output_tar, zst=arguments.output_zst, gz=arguments.output_gz)
    if arguments.output_raw is None and outputs == Outputs():
        raise UserError("there is nothing to write: give one of --output_tar, --output_zst, --output_gz, --output_raw")
    table = table_of(arguments)
    parts = parts_of(table, arguments.partitions, arguments.layout)
    disk = Member(arguments.member, table.disk_size, parts)
    write_archive(archive_of([disk]), outputs, arguments.sha256)
    if arguments.output_raw is not None:
        shown = progress(f"writing {arguments.output_raw}", disk.image.data_size)
        with shown as tell, checksum_beside(arguments.output_raw, arguments.sha256) as digest:
            write_raw(disk.image, arguments.output_raw, tell, digest=digest)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
