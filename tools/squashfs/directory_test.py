"""Listings of directories: what is written is read again, and its index leads to names."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.squashfs import directory
from tools.squashfs.directory import Entry, parse_listing, write_listing
from tools.squashfs.format import InodeType
from tools.squashfs.inode import DirectoryInode
from tools.squashfs.metadata import METADATA_SIZE, MetadataWriter

BLOCK = METADATA_SIZE + 2


class Bytes:
    """A cursor in bytes."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def take(self, length):
        if self.at + length > len(self.data):
            raise ValueError("the listing is cut off")
        self.at += length
        return self.data[self.at - length : self.at]


def content_of(table):
    """Returns the content of blocks that are not compressed."""
    blocks = table.finish()
    return b"".join(blocks[at + 2 : at + BLOCK] for at in range(0, len(blocks), BLOCK))


def entries_of(*numbers, block=0):
    return [Entry(b"%06d" % at, block << 16 | at % 8192, number, InodeType.FIFO) for at, number in enumerate(numbers)]


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=255).map(lambda name: name.translate(None, b"/\0.") or b"x"),
        st.tuples(st.sampled_from([0, 9]), st.integers(0, 8191), st.integers(1, 2**32 - 1), st.sampled_from(InodeType)),
        max_size=200,
    ),
    st.integers(0, 9000),
)  # fmt: skip
def test_what_is_written_is_read(found, before):
    entries = [Entry(name, block << 16 | at, number, kind) for name, (block, at, number, kind) in sorted(found.items())]
    table = MetadataWriter(lambda data: data)
    table.append(bytes(before))
    listing = write_listing(entries, table)
    content = content_of(table)
    assert len(content) == before + listing.size
    assert list(parse_listing(Bytes(content, before), listing.size)) == entries


def test_index_has_an_entry_for_each_further_block():
    entries = entries_of(*range(1, 5001))
    table = MetadataWriter(lambda data: data)
    table.append(bytes(5000))
    listing = write_listing(entries, table)
    content = content_of(table)
    assert listing.index_count == len(content) // METADATA_SIZE
    at = 0
    for number in range(1, listing.index_count + 1):
        offset, block, size = struct.unpack_from("<III", listing.index, at)
        name = listing.index[at + 12 : at + 13 + size]
        at += 13 + size
        assert block == number * BLOCK
        assert (5000 + offset) // METADATA_SIZE == number
        first = next(parse_listing(Bytes(content, 5000 + offset), listing.size - offset))
        assert first.name == name
    assert at == len(listing.index)


def test_inode_counts_as_many_entries_of_an_index_as_there_can_be():
    common = {"type": InodeType.DIRECTORY, "permissions": 0, "uid": 0, "gid": 0, "mtime": 0, "number": 1}
    inode = DirectoryInode(**common, start=0, offset=0, size=0, parent=0, index_count=directory._MOST_INDEXED)
    assert inode.pack()
    with pytest.raises(struct.error):
        replace(inode, index_count=inode.index_count + 1).pack()


def test_index_has_no_more_entries_than_its_inode_can_count(monkeypatch):
    monkeypatch.setattr(directory, "_MOST_INDEXED", 3)
    table = MetadataWriter(lambda data: data)
    listing = write_listing(entries_of(*range(1, 5001)), table)
    assert len(content_of(table)) == listing.size > 5 * METADATA_SIZE
    assert listing.index_count == 3
    assert len(listing.index) == 3 * (12 + 6)


def test_headers():
    table = MetadataWriter(lambda data: data)
    assert write_listing([], table).size == 0
    assert write_listing(entries_of(1, 2, 3), table).size == 12 + 3 * 14
    assert write_listing(entries_of(1, 32768, 3), table).size == 12 + 3 * 14
    assert write_listing(entries_of(1, 32770, 1), table).size == 3 * 12 + 3 * 14
    assert write_listing(entries_of(32769, 1), table).size == 12 + 2 * 14
    assert write_listing(entries_of(32770, 1), table).size == 2 * 12 + 2 * 14
    assert write_listing(entries_of(*range(257)), table).size == 2 * 12 + 257 * 14
    assert write_listing([*entries_of(1), *entries_of(0, 2, block=9)[1:]], table).size == 2 * 12 + 2 * 14


def packed(*names, count=None, kind=6):
    entries = b"".join(struct.pack("<HhHH", 0, 0, kind, len(name) - 1) + name for name in names)
    return struct.pack("<III", (len(names) if count is None else count) - 1, 0, 1) + entries


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (packed(b"a")[:11], "ends within a header"),
        (packed(b"a", count=257), "257 entries, more than 256"),
        (packed(b"a", count=2), "the listing is cut off"),
        (packed(b"a" * 256), "a name in the listing is too long"),
        (packed(b"a") + packed(b"b")[:-9], "ends within a header|cut off"),
        (packed(b"a/b"), "name has a slash"),
        (packed(b".."), "name is reserved"),
        (packed(b"b", b"a"), "do not ascend"),
        (packed(b"a") + packed(b"a"), "do not ascend"),
        (packed(b"a", kind=0), "unknown type 0"),
        (packed(b"a", kind=8), "unknown type 8"),
    ],
)
def test_damage(data, message):
    with pytest.raises(ValueError, match=message):
        list(parse_listing(Bytes(data), len(data)))
