"""Images of whole disks, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from tools.gpt.disk import Content, check_contents
from tools.gpt.table import Table, encode
from tools.image.extents import Image


def disk_image(table: Table, contents: Sequence[tuple[str, Image]]) -> Image:
    """Returns the image of a disk: primary and backup partition table, and the contents of partitions.

    Args:
        table: the partition table, from `place`.
        contents: (name of a partition, its content) pairs; a content is placed at the start of its partition. All other
            bytes are holes.

    Raises:
        UserError: see `check_contents`.
    """
    entries = check_contents(table, (Content(name, image.size) for name, image in contents))
    images = ((entry.offset, image) for entry, (_, image) in zip(entries, contents, strict=True))
    return Image.compose(table.disk_size, [(0, encode(table)), *images])
