import io
import tarfile

import pytest

from tools.tar import header
from tools.tar.member_header import ALIGNMENT, SparseFile, member_header
from tools.testing.oracles import ask

GIB = 1 << 30


def read(head):
    """Returns the only member of an archive, as Python's tarfile understands its header."""
    with tarfile.open(fileobj=io.BytesIO(head + header.END), errors="surrogateescape") as archive:
        return archive.next()


def test_plain_member_has_one_header():
    head = member_header(b"a/b", header.REGULAR, mode=0o640, uid=7, gid=8, size=5, mtime_ns=9 * 10**9)
    assert len(head) == header.BLOCK
    member = read(head)
    assert (member.name, member.mode, member.uid, member.gid, member.size) == ("a/b", 0o640, 7, 8, 5)
    assert (member.mtime, member.pax_headers) == (9, {})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"path": b"p" * 101}, {"path": "p" * 101}),
        ({"path": b"a" * 60 + b"/" + b"b" * 99}, {}),  # in the field for prefixes
        ({"kind": header.SYMLINK, "link": b"l" * 101}, {"linkpath": "l" * 101}),
        ({"uid": 1 << 21, "gid": (1 << 21) - 1}, {"uid": str(1 << 21)}),
        ({"mtime_ns": -500000000}, {"mtime": "-0.5"}),
        ({"records": [(b"SCHILY.xattr.user.a", b"b")]}, {"SCHILY.xattr.user.a": "b"}),
        ({"path": b"\xff" * 101}, {"hdrcharset": "BINARY", "path": "\udcff" * 101}),
        ({"size": 9 * GIB}, {}),  # in base 256
    ],
)
def test_extended_header_has_what_does_not_fit(arguments, expected):
    kinds = {"path": b"file", "kind": header.REGULAR, "mode": 0o644}
    assert read(member_header(**kinds | arguments)).pax_headers == expected


def test_sparse_member(tmp_path):
    ranges = [(ALIGNMENT, 2 * ALIGNMENT)]
    head = member_header(b"f/sparse", header.REGULAR, mode=0o644, size=ALIGNMENT, sparse_file=SparseFile(ranges, GIB))
    (tmp_path / "a.tar").write_bytes(head + b"x" * ALIGNMENT + header.END)
    assert f" {GIB} " in ask("tar", "-tvf", tmp_path / "a.tar")
    with tarfile.open(tmp_path / "a.tar") as archive:
        member = archive.next()
        assert (member.name, member.size) == ("f/sparse", GIB)
        content = archive.extractfile(member)
        assert content.read(3 * ALIGNMENT) == bytes(ALIGNMENT) + b"x" * ALIGNMENT + bytes(ALIGNMENT)


@pytest.mark.parametrize("start", [0, 512, 3072, 3584, 4096 - 512 * 3])
@pytest.mark.parametrize("records", [[], [(b"SCHILY.xattr.user.a", b"b" * 500)]])
def test_data_are_aligned(start, records):
    head = member_header(b"file", header.REGULAR, mode=0o644, size=1, records=records, align_from=start)
    assert (start + len(head)) % ALIGNMENT == 0
    assert read(head).name == "file"


def test_no_header_is_added_where_data_are_aligned_anyway():
    assert len(member_header(b"file", header.REGULAR, mode=0o644, align_from=ALIGNMENT - header.BLOCK)) == header.BLOCK
