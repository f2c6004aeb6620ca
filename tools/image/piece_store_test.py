import errno
import hashlib
import os

from tools.image.compression import Gzip, Zstd, compressed
from tools.image.extents import Data, Extent, Image
from tools.image.piece_store import PieceStore


def encoder(calls, name="x"):
    def encode(data):
        calls.append(bytes(data))
        return hashlib.sha256(name.encode() + data).digest()

    return encode


def test_nothing_is_encoded_twice():
    store = PieceStore()
    calls = []
    encode = store.remembering(encoder(calls), "x")
    first = [bytes(encode(memoryview(data))) for data in (b"a", b"b", b"a")]
    assert first == [hashlib.sha256(b"x" + data).digest() for data in (b"a", b"b", b"a")]
    assert calls == [b"a", b"b"]


def test_another_encoder_has_its_own_results():
    store = PieceStore()
    one, other = store.remembering(encoder([], "1"), "1"), store.remembering(encoder([], "2"), "2")
    for _ in range(2):
        assert one(b"a") == hashlib.sha256(b"1a").digest()
        assert other(b"a") == hashlib.sha256(b"2a").digest()


def test_a_full_store_begins_anew():
    store = PieceStore(most=100)
    calls = []
    encode = store.remembering(encoder(calls), "x")
    for data in (b"a", b"b", b"c", b"d", b"d", b"a"):
        assert encode(data) == hashlib.sha256(b"x" + data).digest()
    assert calls == [b"a", b"b", b"c", b"d", b"a"]


def test_full_disk_is_no_error(monkeypatch):
    store = PieceStore()
    calls = []
    encode = store.remembering(encoder(calls), "x")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    assert [encode(b"a"), encode(b"a")] == [hashlib.sha256(b"xa").digest()] * 2
    assert calls == [b"a", b"a"]


def test_compressed_bytes_are_those_without_a_store():
    store = PieceStore()
    image = Image(3 << 20, [Extent(n << 18, 1 << 17, Data(bytes([n]) * (1 << 17))) for n in range(12)])
    for codec in (Zstd(piece_size=1 << 18), Gzip(piece_size=1 << 18), Zstd(level=1, piece_size=1 << 18)):
        expected = [(length, bytes(data)) for length, data in compressed(image, codec)]
        for _ in range(2):
            made = compressed(image, codec, threads=3, remember=store.remembering)
            assert [(length, bytes(data)) for length, data in made] == expected
