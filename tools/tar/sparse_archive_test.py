import os
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.compare import first_difference
from tools.image.compressed_file import write_compressed
from tools.image.compression import Gzip, Zstd
from tools.image.extents import Data, Extent, FileRange, Image, Pattern
from tools.image.holes import data_ranges
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image, open_member
from tools.tar.sparse_archive import Archive, Member, Part, archive_of, data_cuts, data_of
from tools.testing.images import content, images, input_file
from tools.testing.oracles import ask

PROPERTY = settings(deadline=None, derandomize=True, max_examples=100)
FEW_EXAMPLES = settings(deadline=None, derandomize=True, max_examples=25)
GIB = 1 << 30


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return input_file(tmp_path_factory.mktemp("archive"))


def members(file):
    names = st.sampled_from(["disk.img", "a/b.img", "n" * 100, "long/" + "n" * 150, "größe.img"])
    named = st.builds(Member.of, names, images(file), st.sampled_from([512, 4096]))
    return st.lists(named, max_size=3, unique_by=lambda member: member.name)


def with_python(path, name):
    with tarfile.open(path, "r:") as tar:
        return tar.extractfile(name).read()


@FEW_EXAMPLES
@given(data=st.data())
@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_tar_extracts_the_same_files(file, tmp_path_factory, tool, data):
    given_members = data.draw(members(file))
    folder = tmp_path_factory.mktemp("tar")
    write_raw(archive_of(given_members).image, folder / "archive")
    listed = ask(tool, "-tf", folder / "archive", LC_ALL="C.UTF-8").splitlines()
    assert listed == [member.name for member in given_members]
    said = ask(tool, "-xf", folder / "archive", "-C", folder, LC_ALL="C.UTF-8")
    assert not said
    for member in given_members:
        path = folder / member.name
        expected = content(member.parts[0].image)
        assert path.read_bytes() == expected
        assert path.stat().st_mode & 0o7777 == 0o644
        path.unlink()


@PROPERTY
@given(data=st.data())
def test_python_and_our_reader_agree(file, tmp_path_factory, data):
    given_members = data.draw(members(file))
    path = tmp_path_factory.mktemp("python") / "archive"
    write_raw(archive_of(given_members).image, path)
    assert path.stat().st_size % 10240 == 0
    for member in given_members:
        (part,) = member.parts
        assert with_python(path, member.name) == content(part.image)
        image = open_member(path, member.name)
        assert first_difference(image, part.image) is None
        assert data_ranges(image, 512) == data_ranges(part.image, part.block_size)
        assert first_difference(data_of(image), data_of(part.image, part.block_size)) is None
    if not given_members:
        with tarfile.open(path) as tar:
            assert tar.getnames() == []
    path.unlink()


@PROPERTY
@given(data=st.data())
def test_parts_keep_their_data(file, data):
    """An archive stores the same data for a part as an archive of the part alone."""
    parts, end = [], 0
    for _ in range(data.draw(st.integers(0, 3))):
        offset = end + 512 * data.draw(st.integers(0, 20))
        image = data.draw(images(file, unit=512))
        parts.append(Part(offset, image, data.draw(st.sampled_from([512, 4096]))))
        end = offset + image.size
    size = end + data.draw(st.integers(0, 9999))
    archive = archive_of([Member("VERSION.TXT", 3, [Part(0, Image.from_bytes(b"1.0"))]), Member("disk", size, parts)])
    assert len(archive.parts) == 1 + len(parts)
    for part, placed in zip(parts, archive.parts[1:], strict=True):
        stored = archive.image.slice(placed.offset, placed.length)
        assert content(stored) == content(data_of(part.image, part.block_size))


def stored_size_of(archive: Archive) -> int:
    return sum(placed.length for placed in archive.parts)


def test_holes_are_extracted_as_holes(tmp_path):
    image = Image(64 * GIB, [Extent(10 * GIB, 5000, Pattern(b"x")), Extent(60 * GIB + 1, 3, Data(b"abc"))])
    archive = archive_of([Member.of("disk.img", image)])
    write_raw(archive.image, tmp_path / "archive")
    assert (tmp_path / "archive").stat().st_size == 20480
    for tool in ("tar", "bsdtar"):
        ask(tool, "-xf", tmp_path / "archive", "-C", tmp_path)
        status = (tmp_path / "disk.img").stat()
        assert status.st_size == image.size
        assert status.st_blocks * 512 < 1 << 20
        assert first_difference(open_image(tmp_path / "disk.img"), image) is None
    with tarfile.open(tmp_path / "archive") as tar:
        assert tar.getmember("disk.img").size == image.size


def test_more_than_8_gib_of_data(tmp_path):
    """Writes a sparse file of the full size without the data, since readers seek over it to the next member."""
    big = Image(20 * GIB, [Extent(0, 9 * GIB, Pattern(b"x")), Extent(10 * GIB, 9 * GIB, Pattern(b"y"))])
    plain = Image(9 * GIB, [Extent(0, 9 * GIB, Pattern(b"x"))])
    last = Image.from_bytes(b"1.0\n")
    given_members = [Member.of("sparse", big), Member.of("plain", plain), Member.of("VERSION.TXT", last)]
    archive = archive_of(given_members)
    headers = Image(archive.image.size, [extent for extent in archive.image.extents if extent.length < GIB])
    write_raw(headers, tmp_path / "archive")
    sizes = {"sparse": 20 * GIB, "plain": 9 * GIB, "VERSION.TXT": 4}
    for tool in ("tar", "bsdtar"):
        lines = [line.split() for line in ask(tool, "-tvf", tmp_path / "archive").splitlines()]
        assert {line[-1] for line in lines} == set(sizes)
        listed = {line[-1]: int(size) for line in lines for size in line if size in map(str, sizes.values())}
        assert listed == sizes
    with tarfile.open(tmp_path / "archive") as tar:
        assert {member.name: member.size for member in tar} == sizes
        assert tar.extractfile("VERSION.TXT").read() == b"1.0\n"
    image = open_member(tmp_path / "archive", "sparse")
    assert data_ranges(image) == data_ranges(big)


def test_large_map(file, tmp_path):
    extents = [Extent(8192 * n, 4096, FileRange(file, n)) for n in range(10_000)]
    image = Image(8192 * 10_000, extents)
    write_raw(archive_of([Member.of("disk.img", image)]).image, tmp_path / "archive")
    ask("tar", "-xf", tmp_path / "archive", "-C", tmp_path)
    assert first_difference(open_image(tmp_path / "disk.img"), image) is None
    assert first_difference(open_image(tmp_path / "archive"), image) is None


@pytest.mark.parametrize("name", ["disk.img", "n" * 90])
@pytest.mark.parametrize("holes", range(0, 1200, 37))
def test_data_is_aligned_for_sharing_of_blocks(file, name, holes):
    image = Image(1 << 30, [Extent(8192 * n, 4096, FileRange(file)) for n in range(holes + 1)])
    (placed,) = archive_of([Member.of(name, image)]).parts
    assert placed.offset % 4096 == 0
    full = Image(8192, [Extent(0, 8192, FileRange(file))])
    archive = archive_of([Member("v", 1, [Part(0, Image.from_bytes(b"1"))]), Member.of(name, full)])
    assert [placed.offset % 4096 for placed in archive.parts] == [512, 0]


def test_header_is_always_the_same(tmp_path):
    image = Image(10000, [Extent(4096, 1, Data(b"x"))])
    write_raw(archive_of([Member("disk.img", 10000, [Part(0, image, 4096)], mtime=1700000000)]).image, tmp_path / "a")
    with tarfile.open(tmp_path / "a") as tar:
        (member,) = tar.getmembers()
    assert (member.uid, member.gid, member.uname, member.gname, member.mtime) == (0, 0, "", "", 1700000000)
    assert {key: value for key, value in member.pax_headers.items() if key != "comment"} == {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "disk.img",
        "GNU.sparse.realsize": "10000",
    }


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        (4096, [Part(0, Image.from_bytes(bytes(4096))), Part(512, Image.from_bytes(b"x"))]),
        (4096, [Part(4000, Image.from_bytes(bytes(97)))]),
        (4096, [Part(100, Image.from_bytes(b"x"))]),
        (4096, [Part(0, Image.from_bytes(b"x")), Part(1024, Image.from_bytes(b"x"))]),
    ],
)
def test_parts_that_do_not_fit_together(size, parts):
    with pytest.raises(ValueError, match=r"overlaps another|are not whole blocks"):
        archive_of([Member("disk.img", size, parts)])


def test_open_member_lists_the_files(tmp_path):
    image = Image.from_bytes(b"1")
    write_raw(archive_of([]).image, tmp_path / "none")
    write_raw(archive_of([Member.of("boot.img", image), Member.of("root.img", image)]).image, tmp_path / "two")
    with pytest.raises(UserError, match="none: has 0 files; an archive with exactly one file is needed"):
        open_member(tmp_path / "none")
    with pytest.raises(UserError, match="two: has 2 files; an archive with exactly one file is needed"):
        open_member(tmp_path / "two")
    with pytest.raises(UserError, match=r"two: has no file 'x'; it has boot\.img, root\.img"):
        open_member(tmp_path / "two", "x")
    assert open_member(tmp_path / "two", "root.img").read(0, 1) == b"1"


def test_truncated_archive_is_refused_at_every_length(tmp_path):
    image = Image(1 << 20, [Extent(8192 * n, 4096, Pattern(b"x")) for n in range(60)])
    archive = archive_of([Member.of("disk.img", image)])
    write_raw(archive.image, tmp_path / "archive")
    end = archive.parts[0].offset + archive.parts[0].length
    lengths = {*range(0, end + 512, 4096), *range(0, 5000, 171), end - 1, end, end + 511}
    for length in sorted(lengths, reverse=True):
        os.truncate(tmp_path / "archive", length)
        with pytest.raises(UserError, match="archive: "):
            open_member(tmp_path / "archive")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"1\n0\n-4096\n", "not a decimal number"),
        (b"1\n0\n99999999999999999999\n", "the map of the sparse file"),
        (b"2\n4096\n4096\n0\n4096\n", "not in order"),
        (b"2\n0\n4096\n2048\n4096\n", "not in order"),
        (b"1\n8192\n8192\n", "ends at byte 16384 of a file of 12288"),
        (b"1\n0\n4096\n", "4096 bytes of data, and the member 8192"),
        (b"99999999\n0\n8192\n", "the map of the sparse file"),
        (b"abc\n0\n8192\n", "not a decimal number"),
        (b"\xff" * 512, "the map of the sparse file"),
    ],
)
def test_bad_map_is_an_error(tmp_path, table, message):
    image = Image(12288, [Extent(0, 8192, Pattern(b"x"))])
    path = tmp_path / "archive"
    write_raw(archive_of([Member.of("disk.img", image)]).image, path)
    data = path.read_bytes()
    found = data.index(b"2\n0\n8192\n12288\n0\n")
    path.write_bytes(data[:found] + table.ljust(512, b"\0") + data[found + 512 :])
    with pytest.raises(UserError, match=rf"archive: member 'disk.img' at byte \d+: .*{message}"):
        open_member(path)


def test_open_image_distinguishes_archives_from_raw_files(tmp_path):
    image = Image(20000, [Extent(5000, 100, Pattern(b"x"))])
    write_raw(image, tmp_path / "raw")
    write_raw(archive_of([Member.of("disk.img", image)]).image, tmp_path / "tar")
    (tmp_path / "empty").touch()
    for name in ("raw", "tar"):
        opened = open_image(tmp_path / name)
        assert first_difference(opened, image) is None
        assert data_ranges(opened) == [(4096, 8192)]
    assert open_image(tmp_path / "empty").size == 0


@pytest.mark.parametrize("codec", [Zstd(), Gzip()])
def test_compressed_files_are_an_error(tmp_path, codec):
    write_compressed(Image(4096), tmp_path / "x", codec)
    with pytest.raises(UserError, match=r"x: is compressed, .* decompress it first \((zstd|gzip) -d\)"):
        open_image(tmp_path / "x")


@PROPERTY
@given(data=st.data(), distance=st.sampled_from([1 << 16, 300 * 512, 1 << 20]))
def test_data_is_cut_where_the_image_is_cut(file, data, distance):
    image = data.draw(images(file))
    ranges = data_ranges(image, 512)
    expected, position = [], 0
    for begin in range(0, image.size, distance):
        if position and any(each.begin < begin + distance and begin < each.end for each in ranges):
            expected.append(position)
        position += sum(max(min(end, begin + distance) - max(start, begin), 0) for start, end in ranges)
    assert data_cuts(image, distance) == expected
    assert position == data_of(image).size
