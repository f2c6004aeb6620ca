"""Tests the blocks of directories."""

import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.erofs.directory import Entry, directory_size, pack_directory, parse_block, split_names
from tools.erofs.format import BLOCK_SIZE

NAMES = st.lists(
    st.binary(min_size=1, max_size=255).map(lambda name: name.translate(None, b"/\0") or b"n"),
    min_size=1,
    max_size=300,
    unique=True,
).map(sorted)


def blocks(data):
    return [data[at : at + BLOCK_SIZE] for at in range(0, len(data), BLOCK_SIZE)]


@given(NAMES)
def test_entries_are_found_again_in_order(names):
    entries = [Entry(name, 2**63 + index, index % 8) for index, name in enumerate(names)]
    data = pack_directory(entries)
    assert len(data) == directory_size(names)
    assert [entry for block in blocks(data) for entry in parse_block(block)] == entries


@given(NAMES, st.integers(0, 299))
def test_first_names_of_blocks_lead_to_the_block_of_a_name(names, index):
    """As the kernel's binary search does it: by the first name of each block."""
    name = names[index % len(names)]
    found = [
        [entry.name for entry in parse_block(block)]
        for block in blocks(pack_directory([Entry(n, 1, 1) for n in names]))
    ]
    at = bisect.bisect_right([block[0] for block in found], name) - 1
    assert name in found[at]


def test_blocks_are_filled():
    names = [b"%03d" % number for number in range(600)]
    assert split_names(names) == [273, 273, 54]
    assert directory_size(names) == 2 * BLOCK_SIZE + 54 * 15
    assert split_names([b"x" * 255] * 16) == [15, 1]


ONE = pack_directory([Entry(b"a", 1, 1), Entry(b"bc", 2, 2)])


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (b"", "too small for an entry"),
        (ONE[:11], "too small for an entry"),
        (bytes(24), "begin at the impossible offset 0"),
        (ONE[:8] + b"\x19\0" + ONE[10:], "begin at the impossible offset 25"),
        (ONE[:24], "begin at the impossible offset 24"),
        (ONE[:20] + b"\xff\xff" + ONE[22:], "impossible place 24 to 65535"),
        (ONE[:20] + b"\x18\0" + ONE[22:], "impossible place 24 to 24"),
        (ONE[:24] + b"/bc", "name has a slash or a NUL"),
        (ONE[:25] + b"\0\0", "name is empty"),
    ],
)
def test_damage(block, message):
    with pytest.raises(ValueError, match=message):
        list(parse_block(block))
