"""Files of an image are read whole only if they are small."""

import pytest

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.tree.contents import read_small
from tools.tree.node import File

MOST = 64 << 20


def test_small_file():
    assert read_small(File(content=Image.from_bytes(b"text")), "a") == b"text"
    assert len(read_small(File(content=Image(MOST)), "a")) == MOST


@pytest.mark.parametrize("size", [MOST + 1, 1 << 40])
def test_large_file_is_refused(size):
    with pytest.raises(UserError, match=rf"^/a: has {size} bytes in the image, but it is read only up to 64 MiB; make"):
        read_small(File(content=Image(size)), "/a")
