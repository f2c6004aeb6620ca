import contextlib
import io
import tarfile
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guestos.bootstrap_archive import Archive
from guestos.errors import ImageError

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


def tar_of(members, form):
    """Returns a tar of paths with their contents; None stands for a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type = tarfile.DIRTYPE
            else:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return buffer.getvalue()


def content(data):
    """Reads an archive; returns its members with their contents. A problem of a member is an error."""
    archive = Archive(io.BytesIO(data))
    found = {}
    for member in archive.members():
        if member.problem:
            raise ImageError(member.problem)
        found[member.name] = None if member.size is None else b"".join(archive.data())
    return found


def problems(data):
    """Reads an archive; returns the problems of its members by their paths."""
    return [(member.path, member.problem) for member in Archive(io.BytesIO(data)).members()]


def header(kind, name=b"x", size=0):
    info = tarfile.TarInfo(name.decode())
    info.type, info.size = kind, size
    return info.tobuf(tarfile.USTAR_FORMAT)


def extended(*records, kind=tarfile.XHDTYPE):
    """Returns a pax extended header with records of bytes."""
    data = b""
    for record in records:
        length = len(record) + 2
        while len(str(length)) + len(record) + 2 != length:
            length = len(str(length)) + len(record) + 2
        data += b"%d %s\n" % (length, record)
    return header(kind, size=len(data)) + data + bytes(-len(data) % 512)


FILE = header(tarfile.REGTYPE)
END = bytes(1024)

NAMES = st.text(st.sampled_from("ab.é-"), min_size=1, max_size=60).filter(lambda name: name not in (".", ".."))
TREES = st.dictionaries(st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=1500), max_size=6)


@settings(deadline=None)
@given(tree=TREES, form=st.sampled_from(FORMATS))
def test_what_python_writes_is_read(tree, form):
    tree = {name: data for name, data in tree.items() if not any(other.startswith(f"{name}/") for other in tree)}
    assert content(tar_of(tree, form)) == tree


@pytest.mark.parametrize("form", FORMATS)
def test_directories_and_long_names(form):
    long = "/".join(["d" * 80, "e" * 60, "f" * 90])
    tree = {"./": None, "./a": None, f"./{long}": b"long"}
    assert content(tar_of(tree, form)) == {"": None, "a": None, long: b"long"}


@settings(deadline=None, max_examples=300)
@given(
    tree=TREES,
    form=st.sampled_from(FORMATS),
    changes=st.lists(st.tuples(st.integers(0, 1 << 14), st.integers(0, 255)), min_size=1, max_size=8),
    length=st.integers(0, 1 << 14),
)
def test_a_damaged_archive_is_read_or_refused(tree, form, changes, length):
    data = bytearray(tar_of(tree, form))
    for offset, value in changes:
        data[offset % len(data)] = value
    for each in (data, data[:length]):
        with contextlib.suppress(ImageError):
            content(bytes(each))


REFUSED = {
    "NUL in a name": (extended(b"path=ic_crypto/a\0b") + FILE + END, "is not a relative name"),
    "line break in a name": (extended(b"path=a\nb") + FILE + END, "is not a relative name"),
    "empty name": (extended(b"path=") + FILE + END, "is not a relative name"),
    "absolute name": (header(tarfile.REGTYPE, b"/a") + END, "is not a relative name"),
    "parent": (header(tarfile.REGTYPE, b"a/../b") + END, "is not a relative name"),
    "deep name": (extended(b"path=" + b"/".join([b"a"] * 33)) + FILE + END, "is not a relative name"),
    "name over 255 bytes": (extended(b"path=" + b"a" * 256) + FILE + END, "more than 255 bytes"),
    "number of 5,000 digits": (
        header(b"x", size=5100) + b"1" * 5000 + b" path=a\n" + bytes(2000) + END,
        "not a number",
    ),
    "record without a length": (extended() + FILE + END, None),
    "size in an extended header": (extended(b"size=5") + FILE + END, "'size', which is not supported"),
    "sparse file": (extended(b"GNU.sparse.major=1") + FILE + END, "is not supported"),
    "old sparse file": (header(b"S") + END, "neither a file nor a directory"),
    "link": (header(tarfile.SYMTYPE) + END, "neither a file nor a directory"),
    "unknown type": (header(b"Z") + END, "neither a file nor a directory"),
    "one name for all": (extended(b"path=a", kind=tarfile.XGLTYPE) + FILE + END, "one name for all"),
    "twice": (FILE + FILE + END, "'x' twice"),
    "file and directory": (FILE + header(tarfile.REGTYPE, b"x/y") + END, "below a file"),
    "directory and file": (header(tarfile.REGTYPE, b"x/y") + FILE + END, "'x' twice"),
    "name without a member": (extended(b"path=a") + END, "ends after an extended header"),
    "one block at the end": (FILE + bytes(512), "is truncated"),
    "block between members": (bytes(512) + FILE + END, "block of zeros between"),
    "data after the end": (FILE + END + b"x", "data after the end"),
    "wrong checksum": (b"y" + FILE[1:] + END, "checksum"),
    "huge file": (header(tarfile.REGTYPE, size=(4 << 30) + 1) + END, "more than 200000 members or"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED)
def test_an_archive_is_refused(data, message):
    if message is None:
        assert content(data) == {"x": b""}
        return
    with pytest.raises(ImageError, match=message):
        content(data)


class Endless:
    """A stream that starts with some bytes and then repeats a pattern for ever."""

    def __init__(self, start, pattern=b"a"):
        self._start, self._pattern = start, pattern
        self._position = 0

    def read(self, size):
        data = self._start[self._position : self._position + size]
        at = max(self._position - len(self._start), 0) % len(self._pattern)
        self._position += size
        missing = size - len(data)
        return data + (self._pattern * (missing // len(self._pattern) + 2))[at : at + missing]


@pytest.mark.parametrize("kind", [b"x", b"g", b"L"])
@pytest.mark.parametrize("size", [1 << 16 | 1, 3 << 29, 1 << 80])
def test_a_large_header_costs_no_memory(kind, size):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    tracemalloc.start()
    with pytest.raises(ImageError, match="extended header of more than 65536 bytes"):
        list(Archive(Endless(info.tobuf(tarfile.GNU_FORMAT))).members())
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


def test_many_headers_without_a_member_end():
    with pytest.raises(ImageError, match="more than 3 extended headers"):
        list(Archive(Endless(b"", extended(b"a=b"))).members())


def test_a_large_file_costs_no_memory():
    archive = Archive(Endless(header(tarfile.REGTYPE, size=64 << 20)))
    members = archive.members()
    next(members)
    tracemalloc.start()
    assert sum(map(len, archive.data())) == 64 << 20
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_what_follows_a_link_is_read(kind):
    size = 700 if kind == tarfile.LNKTYPE else 0
    message = "the archive has 'd/x', which is neither a file nor a directory"
    data = header(kind, b"d/x", size) + header(tarfile.REGTYPE, b"y", 3) + b"abc".ljust(512, b"\0") + END
    assert problems(data) == [(("d",), message), (("y",), "")]
    with pytest.raises(ImageError, match="neither a file nor a directory"):
        problems(header(tarfile.SYMTYPE, b"d/x", 3) + b"abc".ljust(512, b"\0") + END)


UNUSABLE = {
    "twice": (header(tarfile.REGTYPE, b"d/x") * 2, "has 'd/x' twice"),
    "below a file": (header(tarfile.REGTYPE, b"d/x") + header(tarfile.REGTYPE, b"d/x/y"), "has 'd/x/y' below a file"),
    "not UTF-8": (tarfile.TarInfo("d/\udcff").tobuf(tarfile.USTAR_FORMAT), "has a member 'd/\\udcff', which is not"),
    "deep": (extended(b"path=d" + b"/a" * 32) + FILE, "is not a relative name of printable"),
    "long": (extended(b"path=d/" + b"a" * 256) + FILE, "more than 255 bytes"),
}


@pytest.mark.parametrize(("data", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_a_name_that_cannot_be_used_is_a_problem_of_its_member(data, message):
    (path, problem), (last, none) = problems(data + header(tarfile.REGTYPE, b"good") + END)[-2:]
    assert (path[0], last, none) == ("d", ("good",), "")
    assert message in problem


def test_too_many_members_are_refused(monkeypatch):
    monkeypatch.setattr("guestos.bootstrap_archive.MAX_MEMBERS", 3)
    with pytest.raises(ImageError, match="more than 3 members"):
        problems(header(tarfile.SYMTYPE) * 4 + END)
    with pytest.raises(ImageError, match="more than 3 members"):
        content(tar_of(dict.fromkeys("abcd", b""), tarfile.USTAR_FORMAT))


def test_the_names_of_a_member_have_a_limit_together():
    path = "/".join(["d" * 250] * 5)
    ((_, problem),) = problems(tar_of({path: b""}, tarfile.PAX_FORMAT))
    assert problem.endswith(" with a name of more than 255 bytes, or 1024 in all")


def test_members_share_the_names_of_their_directories():
    folder = "/".join("€" + letter * 240 for letter in "abc")
    data = tar_of({f"{folder}/{number}": b"" for number in range(500)}, tarfile.PAX_FORMAT)
    tracemalloc.start()
    content(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20
