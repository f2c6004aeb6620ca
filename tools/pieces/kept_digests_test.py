import pytest
from hypothesis import HealthCheck, given, settings

from tools.image.extents import Data, Extent, FileRange, Image, Pattern
from tools.pieces import kept_digests
from tools.pieces.kept_digests import DigestStore
from tools.pieces.piece_digests import PIECE_SIZE, digest_of, digests_of
from tools.testing.images import images, input_file

MIB = 1 << 20


def known(_path):
    return "digest"


def unknown(_path):
    return None


@pytest.fixture
def hashed(monkeypatch):
    """A list of the numbers of the pieces that are hashed."""
    numbers = []

    def noting(image, number):
        numbers.append(number)
        return digest_of(image, number)

    monkeypatch.setattr(kept_digests, "digest_of", noting)
    return numbers


def test_digests_are_those_without_a_store(tmp_path):
    file = input_file(tmp_path)
    stores = DigestStore(), DigestStore(most=2), DigestStore()

    @settings(deadline=None, max_examples=50, suppress_health_check=list(HealthCheck))
    @given(images(file, largest=2 * MIB))
    def check(image):
        expected = digests_of(image)
        for store, input_digest in zip(stores, (known, known, unknown), strict=True):
            assert store.digests_of(image, image, input_digest) == expected
            assert store.digests_of(image, image, input_digest) == expected

    check()


def test_only_what_changed_is_hashed(tmp_path, hashed):
    file = input_file(tmp_path)
    store = DigestStore()
    old = Image(8 * MIB, [Extent(0, 2 * MIB, FileRange(file)), Extent(4 * MIB, MIB, FileRange(file, 100))])
    new = Image(8 * MIB, [*old.extents, Extent(3 * MIB, 4096, Data(b"n" * 4096)), Extent(6 * MIB, 7, FileRange(file))])
    store.digests_of(old, old, known)
    assert hashed == [0, 1, 4]
    hashed.clear()
    digests = store.digests_of(new, new, known)
    assert hashed == [3, 6]
    assert digests == digests_of(new)


def test_data_elsewhere_in_a_piece_is_another_piece(tmp_path):
    file = input_file(tmp_path)
    store = DigestStore()
    ranges = FileRange(file), FileRange(file, 1), Pattern(b"ab"), Pattern(b"ab", 1), Pattern(b"abc"), Data(b"x" * MIB)
    for source in ranges:
        for offset, length in ((0, 4096), (1, 4096), (0, 4097)):
            for rest in (Extent(MIB - 1, 1, FileRange(file)), Extent(MIB - 2, 2, FileRange(file))):
                for size in (MIB, 2 * MIB, MIB + 1):
                    image = Image(size, [Extent(offset, length, source), rest])
                    assert store.digests_of(image, image, known) == digests_of(image)
    for size in (PIECE_SIZE - 1, PIECE_SIZE):
        image = Image(size, [Extent(0, 10, FileRange(file))])
        assert store.digests_of(image, image, known) == digests_of(image)


def test_an_input_with_another_digest_is_read_again(tmp_path):
    path = tmp_path / "x"
    store = DigestStore()
    for content in (b"a" * MIB, b"b" * MIB):
        path.write_bytes(content)
        image = Image.from_file(path)
        digest = content[:1].decode()
        assert store.digests_of(image, image, lambda _path, digest=digest: digest) == digests_of(image)


def test_an_input_without_a_digest_is_read_each_time(tmp_path):
    path = tmp_path / "x"
    store = DigestStore()
    for content in (b"a" * MIB, b"b" * MIB):
        path.write_bytes(content)
        image = Image.from_file(path)
        assert store.digests_of(image, image, unknown) == digests_of(image)
        mixed = Image(MIB, [Extent(0, 5, image.extents[0].source), Extent(5, 5, Pattern(b"p"))])
        assert store.digests_of(mixed, mixed, unknown) == digests_of(mixed)
