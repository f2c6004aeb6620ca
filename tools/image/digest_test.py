import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.image.digest import piece_digests, sha256
from tools.image.extents import Extent, Image, Pattern
from tools.image.rawfile import write_raw
from tools.image.running_digest import RunningDigest
from tools.testing.images import content, images, input_file
from tools.testing.oracles import ask

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("digest"))


@PROPERTY
@given(data=st.data(), piece_size=st.sampled_from([4096, 70000, 1 << 20]), threads=st.sampled_from([1, 3]))
def test_digests_are_those_of_the_bytes(file, data, piece_size, threads):
    image = data.draw(images(file))
    whole = content(image)
    assert sha256(image) == hashlib.sha256(whole).digest()
    expected = [hashlib.sha256(whole[i : i + piece_size]).digest() for i in range(0, len(whole), piece_size)]
    assert list(piece_digests(image, piece_size, threads)) == expected


def test_sha256sum_agrees(file, tmp_path):
    image = Image(70 << 20, [Extent((5 << 20) + 3, 1 << 20, Pattern(b"abc")), Extent(69 << 20, 77, Pattern(b"d"))])
    write_raw(image, tmp_path / "image")
    assert ask("sha256sum", tmp_path / "image").split()[0] == sha256(image).hex()


def test_bytes_are_added_in_order_only():
    digest = RunningDigest()
    digest.add(3, b"abc")
    with pytest.raises(ValueError, match="byte 5 comes after byte 6"):
        digest.add(5, b"d")
