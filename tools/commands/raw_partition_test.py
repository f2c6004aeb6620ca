import os

import pytest

from tools.commands.raw_partition import Arguments, main
from tools.core.cli import call
from tools.tar.image_file import open_member
from tools.testing.oracles import ask


def make(tmp_path, content, size):
    (tmp_path / "in").write_bytes(content)
    words = [f"--input={tmp_path / 'in'}", f"--output={tmp_path / 'x.img.tar'}", f"--size={size}"]
    return call(main, Arguments, "", ["raw_partition", *words])


def test_content_is_followed_by_zeros(tmp_path):
    content = os.urandom(5000)
    assert make(tmp_path, content, "1M") == 0
    ask("tar", "-C", tmp_path, "-xf", tmp_path / "x.img.tar")
    assert (tmp_path / "x.img").read_bytes() == content + bytes((1 << 20) - 5000)
    assert (tmp_path / "x.img.tar").stat().st_size < 30000


def test_tar_is_content_like_any_other(tmp_path):
    (tmp_path / "a").write_bytes(b"a" * 100)
    ask("tar", "-C", tmp_path, "-cf", tmp_path / "inner.tar", "a")
    content = (tmp_path / "inner.tar").read_bytes()
    assert make(tmp_path, content, len(content)) == 0
    image = open_member(tmp_path / "x.img.tar", "x.img")
    assert image.read(0, image.size) == content


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ("1000", "--size: 1000 is not a multiple of 512 bytes"),
        ("0", "--size: 0 is not a multiple of 512 bytes"),
        ("512", "/in 513; set it to at least 1024"),
    ],
)
def test_sizes_that_do_not_fit(tmp_path, capsys, size, message):
    assert make(tmp_path, b"x" * 513, size) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "x.img.tar").exists()
