import tarfile
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.tar import header

INTERNALS: Any = tarfile  # undocumented functions of tarfile
SETTINGS = settings(deadline=None, derandomize=True, max_examples=300)


@SETTINGS
@given(st.integers(-(2**60), 2**60))
def test_reads_the_numbers_that_tarfile_writes(value):
    assert header.number(bytes(INTERNALS.itn(value, 12, tarfile.GNU_FORMAT))) == value


@pytest.mark.parametrize(
    ("field", "value"),
    [(b"0000644\0", 0o644), (b"   644 \0", 0o644), (b"644\0junk", 0o644), (b"\0" * 8, 0), (b" " * 8, 0)],
)
def test_reads_numbers_as_old_tars_wrote_them(field, value):
    assert header.number(field) == value


@pytest.mark.parametrize("field", [b"-000644\0", b"0o644\0\0\0", b"6_4\0\0\0\0\0", b"64 4\0\0\0\0", b"89\0\0\0\0\0\0"])
def test_refuses_what_is_no_number(field):
    with pytest.raises(ValueError, match="not a number"):
        header.number(field)


@SETTINGS
@given(
    st.integers(0, 8**11 - 1),
    st.integers(0, 8**7 - 1),
    st.binary(max_size=100).map(lambda b: b.replace(b"\0", b"0")),
    st.integers(0, 1 << 63),
)
def test_tarfile_reads_what_is_built(big, small, name, size):
    name = name or b"x"
    block = header.build(name, header.REGULAR, mode=small, uid=small, gid=small, size=size, mtime=big, prefix=b"p")
    info = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    assert info.name.encode("utf-8", "surrogateescape").rstrip(b"/") == (b"p/" + name).rstrip(b"/")
    assert (info.mode, info.uid, info.gid, info.size, info.mtime) == (small, small, small, size, big)
    assert header.checksum_matches(block)


@SETTINGS
@given(st.binary(min_size=512, max_size=512), st.booleans())
def test_checksum_agrees_with_tarfile(data, signed):
    block = bytearray(data)
    block[148:156] = b"%07o\0" % (INTERNALS.calc_chksums(bytes(block))[signed] & 0o7777777)
    sums = INTERNALS.calc_chksums(bytes(block))
    assert header.checksum_matches(bytes(block)) == (int(block[148:155], 8) in sums)


def test_one_changed_byte_is_found():
    block = bytearray(header.build(b"name", header.REGULAR, size=5))
    for index in range(512):
        if index not in range(148, 156):
            block[index] ^= 0x01
            assert not header.checksum_matches(bytes(block))
            block[index] ^= 0x01


def test_what_does_not_fit_is_refused():
    assert header.fits(8**7 - 1, 8)
    assert not header.fits(8**7, 8)
    assert not header.fits(-1, 8)
    with pytest.raises(ValueError, match="does not fit"):
        header.build(b"x", header.REGULAR, uid=8**7)
