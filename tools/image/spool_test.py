"""Data in a spool is read through images, as that of other files, while an image refers to it."""

import gc
import os

import pytest

from tools.core.errors import UserError
from tools.image.extents import Extent, FileRange, Image
from tools.image.rawfile import write_raw
from tools.image.spool import Spool


def test_an_image_refers_to_it(tmp_path):
    spool = Spool(tmp_path)
    assert (spool.append(b"first"), spool.append(b"x" * 100_000), spool.append(b"last")) == (0, 5, 100_005)
    image = Image(200_000, [Extent(10, 100_009, FileRange(spool))])
    assert os.listdir(tmp_path) == []
    spool.close()
    del spool
    gc.collect()
    write_raw(image, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == bytes(10) + b"first" + b"x" * 100_000 + b"last" + bytes(99_981)


def test_errors(tmp_path):
    with pytest.raises(UserError, match=r"/none: cannot hold a temporary file: No such file or directory$"):
        Spool(tmp_path / "none")
    spool = Spool("/dev/shm")
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, spool.fileno())
    os.close(full)
    with pytest.raises(UserError, match=r"^/dev/shm: a temporary file cannot be written: No space left on device$"):
        spool.append(b"x")
