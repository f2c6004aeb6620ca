"""Whole disks as images, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from tools.gpt.disk import check_contents
from tools.gpt.table import Table, encode
from tools.image.extents import Image


def disk_image(table: Table, contents: Sequence[tuple[str, Image]]) -> Image:
    """Returns a whole disk: the partition table at both ends, and images in partitions.

    Args:
        table: as `place` makes it.
        contents: partitions' names and what they hold; the others are left as holes. An image smaller than its
            partition stands at the partition's start.

    Raises:
        UserError: see `check_contents`.
    """
    entries = check_contents(table, ((name, image.size) for name, image in contents))
    images = ((entry.offset, image) for entry, (_, image) in zip(entries, contents, strict=True))
    return Image.compose(table.disk_size, [(0, encode(table)), *images])
