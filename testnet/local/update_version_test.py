import gzip
import io
import tarfile

import pytest
import zstandard

from testnet.local.samples import update_image
from testnet.local.update_version import version_of
from tools.core.errors import UserError


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_the_version_of_an_image(tmp_path, compress):
    path = tmp_path / "image"
    path.write_bytes(compress(update_image("2.0-x")))
    assert version_of(path) == "2.0-x"


def other_archive():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("disk.img"))
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        other_archive(),
        update_image("2.0")[:700],
        gzip.compress(update_image("2.0"))[:60],
        zstandard.ZstdCompressor().compress(update_image("2.0"))[:60],
        b"\x28\xb5\x2f\xfd damaged",
        update_image("2.0").replace(b'"format"', b'"formal"'),
    ],
)
def test_another_file_is_an_error(tmp_path, content):
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"image: is not an update image: "):
        version_of(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none: cannot be read: No such file"):
        version_of(tmp_path / "none")
    with pytest.raises(UserError, match=r"cannot be read: Is a directory"):
        version_of(tmp_path)
