import io
import itertools
import os
import subprocess
import tarfile
import tracemalloc

import pytest

from tools.core.errors import UserError
from tools.tar import acl, header, pax
from tools.tar.reader import read_members
from tools.testing.oracles import ask, oracle, unavailable

LONG = "d" * 90 + "/" + "e" * 90 + "/" + "f" * 200


@pytest.fixture
def folder(tmp_path):
    """A folder with files that need all features of the formats."""
    folder = tmp_path / "in"
    (folder / LONG).parent.mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "one").write_bytes(b"1")
    (folder / "block").write_bytes(b"b" * 512)
    (folder / "more").write_bytes(b"m" * 513)
    (folder / LONG).write_bytes(b"long")
    (folder / "link").symlink_to("one")
    (folder / "longlink").symlink_to("t" * 300)
    os.link(folder / "one", folder / "two")
    os.mkfifo(folder / "pipe")
    os.utime(folder / "more", ns=(0, 1_234_567_890_123_456_789))
    with (folder / "sparse").open("wb") as file:
        for offset in (0, 1 << 20, 5 << 20):
            file.seek(offset)
            file.write(b"s" * 4096)
        file.truncate(8 << 20)
    with (folder / "fragments").open("wb") as file:  # needs several extension blocks in the old GNU format
        for index in range(60):
            file.seek(index << 16)
            file.write(b"f" * 4096)
    return folder


def gnu_tar(folder, archive, *options):
    ask("tar", "-C", folder, "--numeric-owner", "--sort=name", *options, "-cf", archive, ".")
    return archive


def by_name(archive):
    return {member.name.removeprefix(b"./").rstrip(b"/"): member for member in read_members(archive)}


def check_against_files(members, folder, *, nanoseconds, names):
    for name in names:
        path = folder / name
        member = members[name.encode()]
        status = path.lstat()
        assert (member.permissions, member.uid, member.gid) == (status.st_mode & 0o7777, status.st_uid, status.st_gid)
        assert member.mtime_ns == (status.st_mtime_ns if nanoseconds else status.st_mtime_ns // 10**9 * 10**9)
        if path.is_symlink():
            assert member.link == os.fsencode(path.readlink())
        elif path.is_file() and member.kind != header.HARD_LINK:
            assert member.content.read(0, member.content.size) == path.read_bytes()


NAMES = ["empty", "one", "two", "block", "more", "link", "pipe", "sparse", "fragments"]


@pytest.mark.parametrize("form", ["v7", "oldgnu", "gnu", "ustar", "posix"])
@pytest.mark.parametrize("sparse", [[], ["-S"]])
def test_reads_the_formats_of_gnu_tar(folder, tmp_path, form, sparse):
    if form in ("v7", "ustar"):
        if sparse:
            return
        options = ["--exclude=./d*", "--exclude=./longlink"] + ["--exclude=./pipe"] * (form == "v7")
    else:
        options = []
    names = NAMES + [LONG, "longlink"] * (not options)
    members = by_name(gnu_tar(folder, tmp_path / "out.tar", f"--format={form}", *sparse, *options))
    names = [name for name in names if not (form == "v7" and name == "pipe")]
    assert len(members) >= len(names)
    check_against_files(members, folder, nanoseconds=form == "posix", names=names)
    assert members[b""].kind == header.DIRECTORY
    assert {members[b"one"].kind, members[b"two"].kind} == {header.REGULAR, header.HARD_LINK}
    assert sparse == [] or members[b"sparse"].content.data_size < 1 << 16
    assert sparse == [] or len(members[b"fragments"].content.extents) == 60


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_reads_the_sparse_formats_of_pax(folder, tmp_path, version):
    archive = gnu_tar(folder, tmp_path / "out.tar", "--format=posix", "-S", f"--sparse-version={version}")
    members = by_name(archive)
    check_against_files(members, folder, nanoseconds=True, names=[*NAMES, LONG])
    assert len(members[b"fragments"].content.extents) == 60
    assert members[b"sparse"].content.size == 8 << 20
    assert members[b"sparse"].content.data_size < 1 << 16


@pytest.mark.parametrize("form", ["pax", "gnutar", "ustar"])
def test_reads_the_formats_of_bsdtar(folder, tmp_path, form):
    exclude = ["--exclude=./d*", "--exclude=./longlink"] if form == "ustar" else []
    archive = tmp_path / "out.tar"
    ask("bsdtar", "-C", folder, "--format", form, *exclude, "-cf", archive, ".")
    check_against_files(by_name(archive), folder, nanoseconds=form == "pax", names=NAMES)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_reads_the_formats_of_tarfile(folder, tmp_path, form):
    archive = tmp_path / "out.tar"
    with tarfile.open(archive, "w", format=form) as tar:
        for name in NAMES:
            tar.add(folder / name, name, filter=whole_seconds)
    check_against_files(by_name(archive), folder, nanoseconds=False, names=[n for n in NAMES if n != "more"])


def whole_seconds(info):
    info.mtime = int(info.mtime)  # tarfile keeps times as floating point numbers
    return info


def test_reads_numbers_and_devices_that_need_more_than_octal(tmp_path):
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo("dev")
        info.type, info.mode, info.devmajor, info.devminor = tarfile.BLKTYPE, 0o6660, 259, 70000
        info.uid, info.gid, info.mtime = 2**32 - 2, 3_000_000, -5
        (member,) = read_members(archive_of([(info, b"")], tmp_path / "out.tar", form))
        assert (member.kind, member.device, member.permissions) == (header.BLOCK_DEVICE, (259, 70000), 0o6660)
        assert (member.uid, member.gid, member.mtime_ns) == (2**32 - 2, 3_000_000, -5 * 10**9)


def archive_of(members, path, form=tarfile.PAX_FORMAT, **options):
    with tarfile.open(path, "w", format=form, **options) as tar:
        for info, data in members:
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def with_records(path, **records):
    info = tarfile.TarInfo("x")
    info.pax_headers = {keyword.replace("__", "."): value for keyword, value in records.items()}
    return archive_of([(info, b"data")], path, errors="surrogateescape")


def test_names_are_bytes(tmp_path):
    name, target = b"n\xff\n" + b"x" * 120, b"\xfet" * 80
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        info = tarfile.TarInfo(os.fsdecode(name))
        info.type, info.linkname = tarfile.SYMTYPE, os.fsdecode(target)
        (member,) = read_members(archive_of([(info, b"")], tmp_path / "out.tar", form, errors="surrogateescape"))
        assert (member.name, member.link) == (name, target)


def test_global_headers_hold_until_a_member_says_otherwise(tmp_path):
    first, second = tarfile.TarInfo("first"), tarfile.TarInfo("second")
    second.pax_headers = {"uid": "8"}
    archive = archive_of([(first, b""), (second, b"")], tmp_path / "out.tar", pax_headers={"uid": "7", "comment": "c"})
    assert [(member.name, member.uid) for member in read_members(archive)] == [(b"first", 7), (b"second", 8)]


def test_extended_attributes_of_every_writer(tmp_path):
    records = {
        "SCHILY.xattr.user.a=b%": "1",
        "LIBARCHIVE.xattr.user.c%3D": "AAE",
        "RHT.security.selinux": "system_u:object_r:etc_t:s0",
        "SCHILY.acl.access": "user::rwx,user:alice:r-x:1000,group::r--,mask::r-x,other::---",
        "SCHILY.acl.default": "user::rwx,group::r--,other::---",
    }
    block = pax.build((k.replace("=b%", "%3Db%25").encode(), v.encode()) for k, v in records.items())
    parts = [header.build(b"h", header.PAX, size=len(block)), block.ljust(header.padded(len(block)), b"\0")]
    parts += [header.build(b"x", header.DIRECTORY), header.END]
    (tmp_path / "out.tar").write_bytes(b"".join(parts))
    (member,) = read_members(tmp_path / "out.tar")
    assert {name: len(value) for name, value in member.xattrs.items()} == {
        b"user.a=b%": 1,
        b"user.c=": 2,
        b"security.selinux": 27,
        b"system.posix_acl_access": 44,
        b"system.posix_acl_default": 28,
    }
    assert member.xattrs[b"security.selinux"].endswith(b"s0\0")


def test_extended_attributes_of_gnu_tar(tmp_path):
    (tmp_path / "in").mkdir()
    file = tmp_path / "in/file"
    file.write_bytes(b"")
    try:
        os.setxattr(file, "user.name=%", b"\0value\n")
    except OSError as error:
        unavailable(f"the temporary folder takes no extended attributes: {error}")
    archive = gnu_tar(tmp_path / "in", tmp_path / "out.tar", "--xattrs", "--xattrs-include=*")
    assert by_name(archive)[b"file"].xattrs[b"user.name=%"] == b"\0value\n"


def test_the_advice_on_names_in_access_control_lists(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/file").write_bytes(b"")
    # The own user is one that a user namespace maps.
    value = acl.from_text(b"user::rw-,user:%d:rwx,group::r--,mask::rwx,other::---" % os.getuid())
    with pytest.raises(ValueError, match="archive with bsdtar --format=pax --acls"):
        acl.from_text(b"user::rw-,user:daemon:rwx,group::r--,mask::rwx,other::---")
    try:
        os.setxattr(tmp_path / "in/file", acl.ACCESS.decode(), value)
    except OSError as error:
        unavailable(f"the temporary folder takes no access control lists: {error}")
    ask("bsdtar", "--format=pax", "--acls", "-C", tmp_path / "in", "-cf", tmp_path / "out.tar", ".")
    assert by_name(tmp_path / "out.tar")[b"file"].xattrs[acl.ACCESS] == value


def read_bytes(data, tmp_path):
    path = tmp_path / "bad.tar"
    path.write_bytes(data)
    return list(read_members(path))


def test_every_truncation_is_an_error(tmp_path):
    info = tarfile.TarInfo("n" * 150)
    data = archive_of([(info, b"data" * 200), (tarfile.TarInfo("last"), b"x")], tmp_path / "a.tar").read_bytes()
    end = data.rindex(b"x" + b"\0" * 511) + 512
    assert len(read_bytes(data[: end + 512], tmp_path)) == 2
    for length in [*range(0, end, 100), *range(512, end, 512), end]:
        with pytest.raises(UserError, match=r"bad\.tar: .*(truncated|not a tar)"):
            read_bytes(data[:length], tmp_path)


def test_a_changed_header_is_an_error_and_no_end(tmp_path):
    data = bytearray(archive_of([(tarfile.TarInfo(name), b"x") for name in "abc"], tmp_path / "a.tar").read_bytes())
    data[1024 + 5] ^= 1
    with pytest.raises(UserError, match="byte 1024: is not a tar header"):
        read_bytes(data, tmp_path)
    data[1024:1536] = bytes(512)
    with pytest.raises(UserError, match="data after the end"):
        read_bytes(data, tmp_path)


def test_random_damage_raises_nothing_else(folder, tmp_path):
    data = gnu_tar(folder, tmp_path / "out.tar", "--format=posix", "-S").read_bytes()
    for at, value in itertools.product(range(0, 8192, 17), (0, 0xFF)):
        changed = bytearray(data[:32768])
        changed[at] = value
        # Correct the checksum, so that only the fields are damaged.
        block = changed[at // 512 * 512 :][:512]
        block[148:156] = b" " * 8
        changed[at // 512 * 512 + 148 :][:8] = b"%06o\0 " % sum(block)
        with pytest.raises(UserError):
            read_bytes(changed, tmp_path)


@pytest.mark.parametrize(
    ("magic", "command"), [("gzip", "gzip -d"), ("zstd", "zstd -d"), ("xz", "xz -d"), ("bzip2", "bzip2 -d")]
)
def test_compressed_archives_are_refused_with_advice(tmp_path, magic, command):
    archive = archive_of([], tmp_path / "a.tar").read_bytes()
    data = subprocess.run([oracle(magic), "-c"], input=archive, stdout=subprocess.PIPE, check=True).stdout
    with pytest.raises(UserError, match=f"is compressed.*{command}"):
        read_bytes(data, tmp_path)


def patched(**fields):
    block = bytearray(header.build(b"x", header.REGULAR, size=4))
    offsets = {"mode": 100, "uid": 108, "gid": 116, "size": 124, "mtime": 136, "kind": 156, "major": 329, "minor": 337}
    for name, value in fields.items():
        block[offsets[name] : offsets[name] + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + b"data".ljust(512, b"\0") + header.END


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": b"\xff" * 12}, "size -1, which is negative"),
        ({"size": b"\x80" + b"\x7f" * 11}, "which is more than"),
        ({"size": b"77777777777\0"}, "8589934591 bytes of data should follow, 1536 do"),
        ({"size": b"-0000000004\0"}, "not a number"),
        ({"uid": b"\xff" * 8}, "owner -1, which is negative"),
        ({"gid": b"\x80\0\0\0\xff\xff\xff\xff"}, "group 4294967295, which is more than"),
        ({"kind": b"M"}, "type 'M', which is not supported"),
        ({"kind": b"1"}, "byte 512: is not a tar header"),
        ({"kind": b"3", "major": b"0010000\0"}, "major number 4096, which is more than 4095"),
    ],
)
def test_impossible_headers_are_refused(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        read_bytes(patched(**fields), tmp_path)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ({"size": "-1"}, "not a decimal number"),
        ({"size": "9" * 5000}, "not a decimal number: '9{40}'"),
        ({"mtime": "9" * 5000}, "not a time in seconds: '9{40}'"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "65\udcff4096"}, "not a decimal number: '65.4096'"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "9" * 5000 + ",1"}, "not a decimal number: '9{40}'"),
        ({"size": str(2**63)}, "which is more than"),
        ({"size": str(2**62)}, "bytes of data should follow"),
        ({"uid": "abc"}, "not a decimal number"),
        ({"mtime": "nan"}, "not a time"),
        ({"hdrcharset": "EBCDIC"}, "encoding that is not supported: EBCDIC"),
        ({"SCHILY__fflags": "immutable"}, "'SCHILY.fflags', .* to drop it: --drop_keyword=SCHILY.fflags"),
        ({"SCHILY__acl__access": "user:bob:rwx"}, "access control list has 'bob' without numeric ID"),
        ({"GNU__sparse__major": "2", "GNU__sparse__minor": "0"}, "format that is not supported"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "0,5"}, "has 5 bytes of data, and the member 4"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "8,4"}, "ends at byte 12 of a file of 10"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "5,2,0,2"}, "not in order"),
        ({"GNU__sparse__size": "10", "GNU__sparse__map": "5,4,0"}, "without a length"),
        ({"GNU__sparse__size": str(2**70), "GNU__sparse__map": "0,4"}, "which is more than"),
        (
            {"GNU__sparse__major": "1", "GNU__sparse__minor": "0", "GNU__sparse__realsize": "9"},
            "map of the sparse file is damaged",
        ),
        ({"GNU__sparse__major": "1", "GNU__sparse__minor": "0"}, "not a decimal number"),
    ],
)
def test_impossible_extended_headers_are_refused(tmp_path, records, message):
    with pytest.raises(UserError, match=message):
        list(read_members(with_records(tmp_path / "bad.tar", **records)))


@pytest.mark.parametrize("text", [b"1\n0\n", b"1\n" + b"0" * 600, b"x\n", b"99999999\n" + b"0\n" * 300, b"-1\n", b""])
def test_damaged_maps_before_the_data_are_refused(tmp_path, text):
    info = tarfile.TarInfo("x")
    info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}
    with pytest.raises(UserError, match=r"sparse file (is damaged|has 99999999 ranges)|not a decimal number"):
        list(read_members(archive_of([(info, text.ljust(512, b"\0"))], tmp_path / "bad.tar")))


MAPS = 200_000


def archive_with_map(path, form):
    """Writes a member of 4 bytes whose sparse map has many empty ranges, in one of the formats of GNU tar."""
    info = tarfile.TarInfo("x")
    data = b"data"
    more = b""
    match form:
        case "0.0":
            records = b"23 GNU.sparse.offset=0\n25 GNU.sparse.numbytes=0\n" * (MAPS // 4)
            more = pax_header(pax.build([(b"GNU.sparse.size", b"4")]) + records)
        case "0.1":
            more = pax_header(pax.build([(b"GNU.sparse.size", b"4"), (b"GNU.sparse.map", b"300,300," * MAPS + b"0,4")]))
        case "1.0":
            major = [(b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"4")]
            more = pax_header(pax.build(major))
            text = b"%d\n" % (MAPS + 1) + b"0\n0\n" * MAPS + b"0\n4\n"
            data = text.ljust(header.padded(len(text)), b"\0") + b"data"
        case "records":
            more = pax_header(b"5 a=\n" * MAPS)
        case "old":
            info.type = tarfile.GNUTYPE_SPARSE
    info.size = len(data)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT if form != "old" else tarfile.GNU_FORMAT))
    if form == "old":
        block[482:495] = b"\1%011o\0" % 4
        block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 8 * ord(" "))
        extension = (b"0" * 11 + b"\0") * 42 + b"\1" + bytes(7)
        block += extension * (MAPS // 21) + bytes(512)
    path.write_bytes(more + block + data.ljust(header.padded(len(data)), b"\0") + header.END)
    return path


def pax_header(records):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, len(records)
    return info.tobuf(tarfile.USTAR_FORMAT) + records.ljust(header.padded(len(records)), b"\0")


@pytest.mark.parametrize("form", ["0.0", "0.1", "1.0", "old", "records"])
def test_memory_follows_the_size_of_the_archive(tmp_path, form):
    archive = archive_with_map(tmp_path / "bad.tar", form)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=r"ranges for|more than .* records"):
            list(read_members(archive))
        assert tracemalloc.get_traced_memory()[1] < 12 * archive.stat().st_size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_an_extended_header_of_any_size_is_not_read(tmp_path, kind):
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, (1 << 24) + 1
    path = tmp_path / "bad.tar"
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT))
    os.truncate(path, 64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="size 16777217"):
            list(read_members(path))
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def link_with_size(path, form, **records):
    """Writes an archive of a file, a hard link with the file's size but without data, and another file."""
    file, link, last = tarfile.TarInfo("file"), tarfile.TarInfo("link"), tarfile.TarInfo("last")
    file.size = link.size = 1865
    last.size = 4
    link.type, link.linkname, link.pax_headers = tarfile.LNKTYPE, "file", records
    data = file.tobuf(form) + bytes(2048) + link.tobuf(form) + last.tobuf(form) + b"last".ljust(512, b"\0")
    path.write_bytes(data + header.END)
    return path


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_the_size_of_a_hard_link_is_ignored(tmp_path, form):
    archive = link_with_size(tmp_path / "a.tar", form)
    members = {member.name: member for member in read_members(archive)}
    assert list(members) == [b"file", b"link", b"last"]
    assert (members[b"link"].kind, members[b"link"].link) == (header.HARD_LINK, b"file")
    assert members[b"last"].content.read(0, 4) == b"last"


@pytest.mark.parametrize("program", ["tar", "bsdtar"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT])
def test_other_readers_ignore_the_size_of_a_hard_link(tmp_path, form, program):
    archive = link_with_size(tmp_path / "a.tar", form)
    assert ask(program, "-tf", archive).split() == ["file", "link", "last"]


def test_a_hard_link_with_data_in_pax_is_refused(tmp_path):
    with pytest.raises(
        UserError, match=r"member 'link' at byte .* hard link with data of its own.*without that option"
    ):
        list(read_members(link_with_size(tmp_path / "a.tar", tarfile.PAX_FORMAT, mtime="1.5")))


@pytest.mark.parametrize("kind", [header.SYMLINK, header.DIRECTORY, header.FIFO, header.CHARACTER_DEVICE])
def test_the_size_of_what_has_no_data_is_ignored(tmp_path, kind):
    first, last = header.build(b"x", kind, size=700, link=b"y" * (kind == header.SYMLINK)), header.build(b"z", b"0")
    assert [member.name for member in read_bytes(first + last + header.END, tmp_path)] == [b"x", b"z"]


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("APK-TOOLS.checksum.SHA1", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("LIBARCHIVE.xattr.com.apple.provenance", "AQIA"),
        ("SCHILY.xattr.com.apple.provenance", "\x01\x02\x00"),
        ("SCHILY.fflags", "nodump"),
        ("SCHILY.release", "star 1.6 (x86_64)"),
        ("SCHILY.archtype", "exustar"),
    ],
)
def test_keywords_that_say_nothing_of_a_node_are_ignored(tmp_path, keyword, value):
    (member,) = read_members(with_records(tmp_path / "a.tar", **{keyword: value}))
    assert (member.name, member.xattrs, member.content.size) == (b"x", {}, 4)


@pytest.mark.parametrize(
    ("keyword", "value"), [("SCHILY.fflags", "immutable"), ("SCHILY.acl.access", "user:bob:rwx"), ("VENDOR.x", "1")]
)
def test_keywords_are_dropped_as_the_message_says(tmp_path, keyword, value):
    archive = with_records(tmp_path / "a.tar", **{keyword: value})
    with pytest.raises(UserError) as caught:
        list(read_members(archive))
    (member,) = read_members(archive, [str(caught.value).rpartition("--drop_keyword=")[2]])
    assert member.xattrs == {}


def test_missing_file():
    with pytest.raises(UserError, match=r"/nonexistent\.tar: cannot be read: No such file"):
        list(read_members("/nonexistent.tar"))
