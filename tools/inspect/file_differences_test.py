import gzip
import hashlib
import io
import json
import os
import re
import tarfile

import pytest
import zstandard

from tools.commands.compare_builds import Arguments, main
from tools.core.cli import call
from tools.core.errors import UserError
from tools.image.rawfile import write_raw
from tools.inspect.file_differences import file_differences
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.sample_disk import disk, ext4, fat, root_tree


def texts(left, right, where=()):
    return [str(each) for each in file_differences(left, right, where)]


@pytest.fixture
def said(tmp_path):
    """Returns what differs between two files, given by what they hold."""

    def said(left, right):
        for name, data in (("left", left), ("right", right)):
            (tmp_path / name).write_bytes(data)
        return texts(tmp_path / "left", tmp_path / "right")

    return said


ESP = ("EFI/x = shim",)


def tar(*members, **changes):
    """Returns an archive of members with names, each of a letter, and fields of the first one changed."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name in members:
            info = tarfile.TarInfo(name)
            info.size = 1
            for field, value in changes.items():
                setattr(info, field, value)
            changes = {}
            archive.addfile(info, io.BytesIO(name[:1].encode()))
    return output.getvalue()


def compressed(data, level=3):
    return zstandard.ZstdCompressor(level=level).compress(data)


def test_the_same(said):
    assert said(b"", b"") == []
    assert said(tar("a", "b"), tar("a", "b")) == []


def test_bytes(said):
    assert said(b"one", b"ons") == ["byte 2: 0x65 / 0x73"]
    assert said(b"one", b"on") == ["size: 3 / 2", "byte 2: 0x65 / none"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"mode": 0o600}, "a: permissions: 0644 / 0600"),
        ({"uid": 7}, "a: uid: 0 / 7"),
        ({"gid": 7}, "a: gid: 0 / 7"),
        ({"mtime": 7}, "a: mtime: 0 / 7000000000"),
        ({"pax_headers": {"SCHILY.xattr.user.x": "y"}}, "a: xattrs: none / user.x=0x79"),
        ({"type": tarfile.SYMTYPE, "size": 0, "linkname": "b"}, "a: kind: 0 / 2"),
    ],
)
def test_headers_of_members(said, changes, expected):
    found = said(tar("a", "b"), tar("a", "b", **changes))
    assert expected in found


def test_what_readers_leave_out_of_headers(said):
    (found,) = said(tar("a", "b"), tar("a", "b", uname="root"))
    assert found.startswith("byte 15")  # the checksum of a header is in its bytes 148 to 155
    assert found.endswith(" (headers of a, which starts at byte 0)")


def test_members(said):
    assert said(tar("a", "b"), tar("b", "a")) == ["order of members: a / b"]
    assert said(tar("a"), tar("a", "b")) == ["b: only in the right (member)"]
    assert said(tar("a", "a"), tar("a")) == ["a: only in the left (member)"]


@pytest.mark.parametrize("compress", [gzip.compress, compressed])
def test_compressed_files_are_compared_by_what_they_hold(said, compress):
    zeros = bytes(3 << 20)
    assert said(compress(zeros + b"one"), compress(zeros + b"ons")) == [f"byte {len(zeros) + 2}: 0x65 / 0x73"]
    found = said(compress(tar("a")), compress(tar("a", uid=7)))
    assert found == ["a: uid: 0 / 7"]
    halves = compress(zeros) + compress(b"one")
    assert said(halves, compress(zeros + b"ons")) == [f"byte {len(zeros) + 2}: 0x65 / 0x73"]


def test_compression_alone(said):
    text = b"".join(b"%d\n" % (number * number) for number in range(10_000))
    found = said(compressed(text, 1), compressed(text, 19))
    assert len(found) == 1
    assert re.fullmatch(r"byte \d+: 0x\w+ / 0x\w+ \(of the compressed data; what it holds is the same\)", found[0])
    assert said(gzip.compress(text), compressed(text)) == ["compression: gzip / zstd"]
    assert said(text, compressed(text))[0] == "compression: none / zstd"


@pytest.mark.parametrize("compress", [lambda data: gzip.compress(data, mtime=0), zstandard.compress])
def test_what_cannot_be_decompressed(said, compress):
    whole = compress(bytes(range(100)))
    found = said(whole, whole[:-9])
    assert len(found) == 1
    assert found[0].startswith("cannot be compared in detail: ")
    assert "/right: cannot be decompressed: " in found[0]


def test_images_in_archives(tmp_path):
    images = [disk(fat(root_tree(*ESP)), ext4(root_tree(line))) for line in ("id = one", "id = ons")]
    for name, image in zip("ab", images, strict=True):
        write_raw(archive_of([Member.of("disk.img", image)]).image, tmp_path / name)
    expected = "disk.img: partition 2 (A_root): /id: byte 2: 0x65 / 0x73"
    assert texts(tmp_path / "a", tmp_path / "b", ("x",)) == ["x: " + expected]


def test_holes_are_bytes_of_an_archive(tmp_path):
    """The same content by other maps is another archive."""
    image = ext4(root_tree())
    for name, block_size in (("a", 512), ("b", 4096)):
        write_raw(archive_of([Member.of("x.img", image, block_size)]).image, tmp_path / name)
    (found,) = texts(tmp_path / "a", tmp_path / "b")
    assert found.startswith("byte ")
    assert " (headers of x.img, " in found


def test_folders(tmp_path):
    for side, content in (("left", "one"), ("right", "ons")):
        (tmp_path / side / "same").mkdir(parents=True)
        (tmp_path / side / "x").write_text(content)
    (tmp_path / "left/same/y").touch()
    (tmp_path / "right/new/sub").mkdir(parents=True)
    (tmp_path / "right/new/sub/loop").symlink_to("..")
    (tmp_path / "right/new/gone").symlink_to("nowhere")
    assert texts(tmp_path / "left", tmp_path / "right") == [
        "new: only in the right (folder)",
        "new: gone: only in the right (file)",
        "new: sub: only in the right (folder)",
        "new: sub: loop: only in the right (file)",
        "same: y: only in the left (file)",
        "x: byte 2: 0x65 / 0x73",
    ]
    assert texts(tmp_path / "left", tmp_path / "right/x") == ["type: folder / file"]
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("pipe", "is neither a file nor a folder"), ("none", "cannot be read")):
        with pytest.raises(UserError, match=f"{name}: {message}"):
            list(file_differences(tmp_path / name, tmp_path / "left"))


def run(*flags):
    return call(main, Arguments, "", ["compare_builds", *flags])


def test_command_line(tmp_path, capfd):
    (tmp_path / "a").write_text("one")
    (tmp_path / "b").write_text("ons")
    same = f'"x": ["{tmp_path}/a", "{tmp_path}/a"]'
    other = f'"y": ["{tmp_path}/a", "{tmp_path}/b"]'
    digest = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert run("--outputs={" + same + "}") == 0
    assert capfd.readouterr().out == f"x: the same in both builds, SHA-256 {digest}\n"
    assert run("--outputs={" + f"{other}, {same}" + "}") == 1
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        "y: byte 2: 0x65 / 0x73",
        "    @@ -1 +1 @@",
        "    -one",
        "    \\ No newline at end of file",
        "    +ons",
        "    \\ No newline at end of file",
        f"x: the same in both builds, SHA-256 {digest}",
    ]
    assert err == "error: two builds differ in y; the first build's value comes first\n"
    assert run(f"{tmp_path}/a", f"{tmp_path}/b") == 1
    assert capfd.readouterr().out.startswith("a: byte 2: 0x65 / 0x73\n")
    assert run(f"{tmp_path}/a", f"{tmp_path}/a") == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--outputs={}"], "give LEFT and RIGHT, or at least one output by --outputs"),
        ([], "give LEFT and RIGHT"),
        (["a"], "give LEFT and RIGHT"),
        (["a", "b", '--outputs={"x": ["a", "b"]}'], "give LEFT and RIGHT"),
        (['--outputs={"x": ["a"]}'], "outputs: x has 1 files; give two to compare"),
        (["none", "a"], "none: cannot be read"),
    ],
)
def test_what_cannot_be_compared_is_an_error(tmp_path, monkeypatch, capfd, flags, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").touch()
    assert run(*flags) == 2
    assert f"error: {message}" in capfd.readouterr().err


def test_json(tmp_path, capfd):
    for name, text in (("a", "one"), ("b", "ons")):
        (tmp_path / name).write_bytes(text.encode() + b"\0")
    a, b = f"{tmp_path}/a", f"{tmp_path}/b"
    assert run("--outputs=" + json.dumps({"x": [a, a], "y": [a, b]}), "--json") == 1
    found = json.loads(capfd.readouterr().out)
    digest = hashlib.sha256(b"one\0").hexdigest()
    common = {"where": ["y"], "note": None, "text": []}
    assert found == {
        "same": False,
        "outputs": [
            {"name": "x", "left": a, "right": a, "sha256": digest, "same": True, "more": False, "differences": []},
            {
                "name": "y",
                "left": a,
                "right": b,
                "sha256": None,
                "same": False,
                "more": False,
                "differences": [{"field": "content", "left": "0x65", "right": "0x73", "offset": 2, **common}],
            },
        ],
    }
    assert run("--outputs=" + json.dumps({"x": [a, a]}), "--json") == 0
    assert json.loads(capfd.readouterr().out)["same"] is True
