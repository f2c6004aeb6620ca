"""Reads dpkg's database of a tree."""

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.sbom.installed import read_packages
from tools.tree.node import Directory, File


def test_large_database_is_not_read():
    dpkg = Directory(entries={b"status": File(content=Image(1 << 40))})
    root = Directory(entries={b"var": Directory(entries={b"lib": Directory(entries={b"dpkg": dpkg})})})
    with pytest.raises(UserError, match=r"^/var/lib/dpkg/status: has 1099511627776 bytes in the image, but it is read"):
        read_packages(root, {})
