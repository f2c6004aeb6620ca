import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.tar import acl, pax

SETTINGS = settings(deadline=None, derandomize=True, max_examples=300)
KEYWORDS = st.binary(min_size=1, max_size=20).map(lambda data: data.replace(b"=", b"-"))


@SETTINGS
@given(st.lists(st.tuples(KEYWORDS, st.binary(max_size=1200))))
def test_records_come_back(records):
    assert pax.parse(pax.build(records)) == records


@pytest.mark.parametrize("length", [*range(80, 100), *range(985, 1000)])
def test_length_counts_its_own_digits(length):
    (record,) = pax.build([(b"k", b"v" * length)]).splitlines(keepends=True)
    assert int(record.split()[0]) == len(record)


@pytest.mark.parametrize(
    "data",
    [b"x", b"4 a=\n", b"6 a=b\0", b"99 a=b\n", b"7 ab=\n", b"3 =", b"0 a=b\n", b"-6 a=b\n", b"6 a:b\n", b"5 =b\n"],
)
def test_damaged_records_are_refused(data):
    with pytest.raises(ValueError, match="damaged"):
        pax.parse(data)


@SETTINGS
@given(st.integers(-(2**70), 2**70))
def test_times_come_back(time_ns):
    assert pax.time_ns(pax.format_time(time_ns)) == time_ns


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [(b"1.5", 1500000000), (b"-0.25", -250000000), (b"7", 7 * 10**9), (b"1.1234567899", 1123456789)],
)
def test_reads_times(text, time_ns):
    assert pax.time_ns(text) == time_ns


@pytest.mark.parametrize("text", [b"", b".5", b"1.x", b"1e3", b"--1", b"1_0", b"inf"])
def test_refuses_what_is_no_time(text):
    with pytest.raises(ValueError, match="not a time"):
        pax.time_ns(text)


@SETTINGS
@given(st.text(alphabet="%=253Duser.", min_size=1).map(str.encode))
def test_names_of_attributes_come_back(name):
    keyword = pax.xattr_keyword(name)
    assert b"=" not in keyword
    assert pax.xattr_name(keyword) == name


def test_reads_attributes_of_libarchive():
    assert pax.libarchive_xattr(b"LIBARCHIVE.xattr.user.%3D%25", b"AAE") == (b"user.=%", b"\0\1")


LIST = b"user::rwx,user:1000:r-x:1000,group::r--,group:7:rw-:7,mask::rwx,other::---"


def test_access_control_lists_come_back():
    assert acl.to_text(acl.from_text(LIST)) == LIST


@pytest.mark.parametrize(
    "text",
    [
        b"u::rwx\nu:alice:r-x:1000\ng::r--\ng:7:rw-\nm:rwx\no:---  # comment",
        b"other::---,mask::rwx,group:7:rw-,group::r--,user:1000:r-x,user::rwx",
    ],
)
def test_access_control_lists_in_other_words(text):
    assert acl.from_text(text) == acl.from_text(LIST)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"user::rwx,group::r--",
        b"user::rwx,user::rwx,group::r--,other::r--",
        b"user::rwx,user:5:rwx,group::r--,other::r--",
        b"user::rwx,user:bob:rwx,group::r--,mask::rwx,other::r--",
        b"user::rwz,group::r--,other::r--",
        b"owner::rwx,group::r--,other::r--",
        b"user::rwx,group::r--,other:5:r--",
    ],
)
def test_bad_access_control_lists_are_refused(text):
    with pytest.raises(ValueError, match="access control list"):
        acl.from_text(text)


def test_minimal_lists_are_recognised():
    assert acl.is_minimal(acl.from_text(b"user::rwx,group::r--,other::r--"))
    assert not acl.is_minimal(acl.from_text(LIST))
