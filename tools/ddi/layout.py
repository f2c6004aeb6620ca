"""Gives partitions of a layout the UUIDs by which systemd finds those of a root hash.

Discoverable Partitions Specification, section "Verity".
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from uuid import UUID

from tools.core.errors import UserError
from tools.ddi.disk import root_hash_uuids
from tools.gpt.discoverable import DISCOVERABLE
from tools.gpt.layout import Partition, parse_layout

_NAMES = {guid: name for name, guid in DISCOVERABLE.items() if name.startswith(("root-", "usr-"))}
_NAME, _UUID = 0, 4
"""Columns of a layout without a header."""


def layout_with_root_hashes(text: str, origin: str, root_hashes: Mapping[str, str]) -> str:
    """Returns a layout, a partitions.csv, with UUIDs made from root hashes.

    Args:
        text: the layout.
        origin: name of the layout in messages.
        root_hashes: root hashes by the names of partitions: those with the data, and those with the hash tree.

    Raises:
        UserError: the layout is invalid, or a partition is unknown, of another type, or has a UUID already.
    """
    layout = parse_layout(text, origin)
    uuids = {name: _uuid(layout.partition(name), root_hash) for name, root_hash in root_hashes.items()}
    lines = (line.strip() for line in text.split("\n"))
    rows = list(csv.reader((line for line in lines if line and not line.startswith("#")), skipinitialspace=True))
    name, guid = _NAME, _UUID
    if len(rows) > len(layout.partitions):
        header = [cell.strip().lower() for cell in rows[0]]
        name, guid = header.index("name"), header.index("uuid")
    for row in rows:
        if row[name].strip() in uuids:
            row[guid] = str(uuids[row[name].strip()])
    result = io.StringIO()
    csv.writer(result, lineterminator="\n").writerows(rows)
    return result.getvalue()


def _uuid(partition: Partition, root_hash: str) -> UUID:
    kind = _NAMES.get(partition.type, "")
    if not kind or kind.endswith("-verity-sig"):
        raise UserError(
            f"{partition.origin}: {partition.name} has a type whose UUID is not made from a root hash; types are "
            "root-ARCH, usr-ARCH, and these with -verity"
        )
    if partition.uuid is not None:
        raise UserError(f"{partition.origin}: {partition.name} has the UUID {partition.uuid} already; leave it empty")
    data, hashes = root_hash_uuids(root_hash)
    return hashes if kind.endswith("-verity") else data
