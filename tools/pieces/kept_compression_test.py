import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.image.compressed_file import write_compressed
from tools.image.compression import Gzip, Zstd
from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.piece_store import PieceStore
from tools.image.rawfile import write_raw
from tools.image.running_digest import RunningDigest
from tools.pieces.kept_compression import write_data
from tools.pieces.piece_digests import digests_of
from tools.pieces.windows import fits
from tools.tar.image_file import open_member
from tools.tar.sparse_archive import Member, archive_of, data_cuts, data_of
from tools.testing.images import images, input_file

MIB = 1 << 20
CODECS = [Zstd(), Gzip(), Zstd(piece_size=2 * MIB), Gzip(piece_size=MIB)]


def archived(image, path):
    """Returns an image from a tar, as commands get it."""
    write_raw(archive_of([Member.of("x.img", image)]).image, path)
    return open_member(path)


def expected(image, codec, path):
    write_compressed(data_of(image), path, codec, cuts=data_cuts(image, codec.piece_size))
    return path.read_bytes()


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_bytes_are_those_without_digests(tmp_path, codec):
    store = PieceStore()
    file = input_file(tmp_path)

    @settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
    @given(images(file, unit=512, largest=2 * MIB), st.integers(1, 3))
    def check(image, threads):
        member = archived(image.resized(-(-image.size // 512) * 512), tmp_path / "x.img.tar")
        digest = RunningDigest()
        write_data(member, digests_of(member), tmp_path / "x", codec, store, threads=threads, digest=digest)
        made = (tmp_path / "x").read_bytes()
        assert made == expected(member, codec, tmp_path / "y")
        written = RunningDigest()
        written.add(0, made)
        assert digest.digest() == written.digest()

    check()


def test_only_what_changed_is_read(tmp_path, monkeypatch):
    store, codec = PieceStore(), Zstd(piece_size=MIB)
    old = Image(40 * MIB, [Extent(n * 3 * MIB, MIB, Data(bytes([n]) * MIB)) for n in range(10)])
    parts = [(0, old.slice(0, 15 * MIB)), (15 * MIB, Image(25 * MIB, [Extent(0, 4096, Pattern(b"new"))]))]
    new = Image.compose(40 * MIB, parts)
    first, second = archived(old, tmp_path / "old.tar"), archived(new, tmp_path / "new.tar")
    digests = digests_of(second)
    write_data(first, digests_of(first), tmp_path / "x", codec, store)
    read = []
    whole = Image.read

    def noting(image, offset, length):
        read.append(length)
        return whole(image, offset, length)

    monkeypatch.setattr(Image, "read", noting)
    write_data(second, digests, tmp_path / "x", codec, store)
    assert read == [4096]
    assert (tmp_path / "x").read_bytes() == expected(second, codec, tmp_path / "y")


def test_the_same_pieces_elsewhere_are_others(tmp_path):
    """Holes are not compressed, so a piece depends on where in it there is data."""
    store, codec = PieceStore(), Zstd(piece_size=2 * MIB)
    for number, extents in enumerate(
        (
            [Extent(0, 4096, Data(bytes(4096)))],
            [Extent(0, 8192, Data(bytes(8192)))],
            [Extent(MIB, 4096, Data(bytes(4096)))],
        )
    ):
        member = archived(Image(4 * MIB, extents), tmp_path / f"{number}.tar")
        write_data(member, digests_of(member), tmp_path / "x", codec, store)
        assert (tmp_path / "x").read_bytes() == expected(member, codec, tmp_path / "y")


def test_pieces_that_are_no_whole_mebibytes_do_not_fit():
    assert [fits(codec) for codec in CODECS] == [True] * 4
    assert not fits(Zstd(piece_size=MIB + 4096))
    assert not fits(Gzip(piece_size=1 << 19))
