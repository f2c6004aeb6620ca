"""Lists the partitions of a layout for scripts: one line for each, with number, name and GUID."""

from __future__ import annotations

from uuid import UUID

from tools.core.errors import UserError
from tools.gpt.disk import minimum_disk_size, place
from tools.gpt.layout import read_layout


def listing(path: str, disk_guid: str) -> bytes:
    """Returns the list for a partitions.csv.

    Args:
        path: path of the partitions.csv.
        disk_guid: GUID of the disk, from which missing partition GUIDs are derived.

    Raises:
        UserError: the layout or the GUID is invalid.
    """
    try:
        guid = UUID(disk_guid)
    except ValueError as error:
        raise UserError(f"disk_guid: {disk_guid!r} is not a GUID") from error
    layout = read_layout(path)
    table = place(layout, minimum_disk_size(layout), guid)
    return "".join(f"{entry.number} {entry.name} {entry.uuid}\n" for entry in table.entries).encode()
