"""The arguments of commands that create a partition table."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from tools.core.cli import argument
from tools.core.errors import UserError
from tools.core.json_spec import FileName, Size
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import read_layout
from tools.gpt.table import Table


@dataclass(frozen=True, kw_only=True)
class TableArguments:
    """The arguments that determine a partition table."""

    layout: FileName = argument("the partitions.csv")
    disk_guid: str = argument("GUID of the disk")
    without: tuple[str, ...] = argument("name of a partition to omit from the table", default=())
    expanded_size: Size | None = argument(
        "size of the disk in bytes; by default the minimum for the layout", default=None
    )
    sector_size: int = argument("sector size of the disk, 512 or 4096 bytes", default=512)


def table_of(arguments: TableArguments) -> Table:
    """Returns the partition table for the arguments.

    Raises:
        UserError: the layout is invalid, or doesn't fit on the disk.
    """
    try:
        guid = UUID(arguments.disk_guid)
    except ValueError as error:
        raise UserError(f"--disk_guid: {arguments.disk_guid!r} is not a GUID; `uuidgen` makes one") from error
    layout = read_layout(arguments.layout).without(arguments.without)
    size = minimum_disk_size(layout) if arguments.expanded_size is None else arguments.expanded_size
    return place(layout, size, guid, arguments.sector_size)
