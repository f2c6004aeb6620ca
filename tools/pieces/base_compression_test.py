import pytest
from hypothesis import HealthCheck, given, settings

from tools.core.errors import UserError
from tools.image.compressed_data import open_compressed
from tools.image.compressed_file import content_size, write_compressed
from tools.image.compression import Gzip, Zstd
from tools.image.extents import Data, Extent, Image, Pattern
from tools.image.piece_store import PieceStore
from tools.image.rawfile import write_raw
from tools.image.recipe import recipe_of
from tools.pieces.base_compression import Base, compressed_over
from tools.pieces.piece_digests import digests_of
from tools.tar.image_file import open_member
from tools.tar.sparse_archive import Member, archive_of, data_cuts, data_of
from tools.testing.images import content, images, input_file

MIB = 1 << 20
CODECS = [Zstd(), Gzip(), Zstd(piece_size=2 * MIB), Gzip(piece_size=MIB)]


def archived(image, path):
    """Returns an image from a tar, as commands get it."""
    whole = image.resized(-(-image.size // 512) * 512)
    write_raw(archive_of([Member.of("x.img", whole)]).image, path)
    return open_member(path)


def expected(image, codec, path):
    write_compressed(data_of(image), path, codec, cuts=data_cuts(image, codec.piece_size))
    return path.read_bytes()


def base_of(image, codec, path):
    expected(image, codec, path)
    return Base(image, digests_of(image), open_compressed(path))


@pytest.mark.parametrize("codec", CODECS, ids=repr)
def test_bytes_are_those_without_a_base(tmp_path, codec):
    file = input_file(tmp_path)
    store = PieceStore()

    @settings(deadline=None, max_examples=20, suppress_health_check=list(HealthCheck))
    @given(images(file, unit=512, largest=2 * MIB), images(file, unit=512, largest=2 * MIB))
    def check(first, second):
        both = Image.compose(
            first.size + 16 * MIB + second.size, [(0, first), (first.size // (8 * MIB) * 8 * MIB + 16 * MIB, second)]
        )
        lower, upper = archived(first, tmp_path / "lower.tar"), archived(both, tmp_path / "upper.tar")
        base = base_of(lower, codec, tmp_path / "lower")
        for options in ({}, {"threads": 1}, {"remember": store.remembering}, {"remember": store.remembering}):
            made = compressed_over(upper, digests_of(upper), base, codec, **options)
            assert content(made) == expected(upper, codec, tmp_path / "upper")

    check()


def test_only_what_the_base_has_not_is_compressed(tmp_path):
    codec = Zstd(piece_size=MIB)
    old = Image(40 * MIB, [Extent(n * 3 * MIB, MIB, Data(bytes([n]) * MIB)) for n in range(10)])
    parts = [(0, old.slice(0, 15 * MIB)), (15 * MIB, Image(25 * MIB, [Extent(0, 4096, Pattern(b"new"))]))]
    lower = archived(old, tmp_path / "old.tar")
    upper = archived(Image.compose(40 * MIB, parts), tmp_path / "new.tar")
    compressed = []

    def remember(encode, name):
        def noted(data):
            compressed.append(name)
            return encode(data)

        return noted

    base = base_of(lower, codec, tmp_path / "old.zst")
    stream = compressed_over(upper, digests_of(upper), base, codec, remember=remember)
    assert len(compressed) == 1
    write_raw(recipe_of(stream, [tmp_path / "old.zst"]), tmp_path / "new.zst.recipe")
    recipe = open_compressed(tmp_path / "new.zst.recipe", [tmp_path / "old.zst"])
    assert content(recipe.stream) == expected(upper, codec, tmp_path / "new.zst")
    assert content_size(recipe, codec) == 5 * MIB + 4096


def test_compressed_data_of_another_image_is_an_error(tmp_path):
    codec = Gzip()
    image = archived(Image.from_bytes(b"x" * 8192), tmp_path / "one.tar")
    other = archived(Image.from_bytes(b"x" * 4096), tmp_path / "other.tar")
    base = base_of(image, codec, tmp_path / "one.gz")
    with pytest.raises(UserError, match=r"one\.gz: is not the compressed data of the base; compress that again"):
        compressed_over(image, digests_of(image), base._replace(image=other, digests=digests_of(other)), codec)


def test_an_image_without_data_and_a_base_without_data(tmp_path):
    for codec in CODECS:
        empty = archived(Image(8 * MIB), tmp_path / "empty.tar")
        full = archived(Image.from_bytes(b"x" * 8192), tmp_path / "full.tar")
        base = base_of(empty, codec, tmp_path / "empty")
        for image in (empty, full):
            stream = compressed_over(image, digests_of(image), base, codec)
            assert content(stream) == expected(image, codec, tmp_path / "expected")
