"""Tests of the check of what an image holds."""

import io
import sys

import pytest

from tools.commands.image_structure_check import Arguments, main, text
from tools.core.errors import CheckError, UserError
from tools.fat.writer import Options, fat_image
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.testing.sample_disk import ext4
from tools.tree import capability
from tools.tree.node import Directory, File, Symlink


@pytest.fixture
def check(tmp_path):
    root = Directory(entries={b"folder": Directory(entries={b"file": File(content=Image.from_bytes(b"one\ntwo\n"))})})
    path = tmp_path / "image"
    write_raw(fat_image(root, Options(size=1 << 20, volume_id=1)), path)
    return lambda **arguments: main(Arguments(image=str(path), **arguments))


def test_what_is_right_passes(check, capsys):
    check(
        present={"/folder": "type=dir", "/folder/file": "type=file size=8 uid=0"},
        absent=("/folder/other*", "/none/*", "/none"),
        contains={"/folder/file": ("^two$", "o")},
        lacks={"/folder/file": ("three",)},
    )
    assert capsys.readouterr().out.endswith(": 7 checks passed\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"present": {"/none": ""}}, "/none: is missing"),
        ({"present": {"/folder": "type=file"}}, "/folder: has type=dir, not file"),
        ({"present": {"/folder": "size=1"}}, "/folder: has size=none, not 1"),
        ({"absent": ("/folder/f*",)}, "/folder/f*: must not be there, but file is"),
        ({"contains": {"/folder/file": ("three",)}}, "/folder/file: nothing in it matches 'three'"),
        ({"lacks": {"/folder/file": ("t.o",)}}, "/folder/file: must not match 't.o', but 'two' does"),
    ],
)
def test_each_fault_is_named(check, capsys, arguments, message):
    with pytest.raises(CheckError, match="1 faults, see the lines above"):
        check(**arguments)
    assert capsys.readouterr().out == message + "\n"


def test_what_is_missing_is_a_fault_among_the_others(check, capsys):
    """Once for each path, with what has a similar name."""
    with pytest.raises(CheckError, match="6 faults, see the lines above"):
        check(
            present={"/folder/files": "", "/fodler/file": "type=file"},
            contains={"/folder/fil": ("one", "two"), "/folder": ("x",), "/folder/file": ("three",)},
            lacks={"/folder/fil": ("one",), "/none/file": ("one",)},
        )
    assert capsys.readouterr().out.splitlines() == [
        "/folder/files: is missing; did you mean /folder/file?",
        "/fodler/file: is missing; did you mean /folder?",
        "/folder/fil: is missing; did you mean /folder/file?",
        "/folder: is no file but a directory; give the path of a file",
        "/folder/file: nothing in it matches 'three'",
        "/none/file: is missing",
    ]


def test_paths_that_lead_nowhere_are_faults(tmp_path, capsys):
    root = Directory(entries={b"file": File(content=Image(0)), b"link": Symlink(target=b"none/file")})
    write_raw(ext4(root), tmp_path / "image")
    with pytest.raises(CheckError, match="3 faults"):
        main(
            Arguments(
                image=str(tmp_path / "image"),
                present={"/file/x": "type=file", "/link": "type=link"},
                contains={"/file/x": ("x",), "/link": ("x",)},
            )
        )
    assert capsys.readouterr().out.splitlines() == [
        "/file/x: is missing: /file: is a file, not a directory",
        "/file/x: is missing: /file/x: its component file is a file",
        "/link: is missing: /link is a link to none/file, which is not there",
    ]


def test_faults_are_written_before_the_error(check, monkeypatch):
    log = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(log))
    with pytest.raises(CheckError):
        check(present={"/none": ""})
    assert log.getvalue() == b"/none: is missing\n"


def test_large_file_is_not_read():
    root = Directory(entries={b"large": File(content=Image(1 << 40))})
    with pytest.raises(UserError, match=r"^/large: has 1099511627776 bytes in the image, but it is read only up to"):
        text(root, "/large")


def test_faults_show_no_control_characters(tmp_path, capsys):
    root = Directory(entries={b"\x1b[2J\n": File(content=Image.from_bytes(b"\x1bx"))})
    write_raw(ext4(root), tmp_path / "image")
    with pytest.raises(CheckError):
        main(Arguments(image=str(tmp_path / "image"), absent=("/\x1b*",), lacks={"/\x1b[2J\n": ("x",)}))
    assert capsys.readouterr().out.splitlines() == [
        "/\\x1b*: must not be there, but \\x1b[2J\\n is",
        "/\\x1b[2J\\n: must not match 'x', but 'x' does",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to check"),
        ({"present": {"/folder": "colour=red"}}, "'colour=red' is not one of"),
        ({"partition": "boot", "absent": ("/x",)}, "GPT|partition table"),
    ],
)
def test_what_cannot_be_checked_is_refused(check, arguments, message):
    with pytest.raises(UserError, match=message) as raised:
        check(**arguments)
    assert not isinstance(raised.value, CheckError)


def test_capabilities(tmp_path, capsys):
    value = capability.from_text("cap_net_raw=ep")
    files = {
        b"with": File(content=Image(0), xattrs={capability.NAME: value}),
        b"without": File(content=Image(0)),
    }
    write_raw(ext4(Directory(entries=files)), tmp_path / "image")

    def check(**expected):
        main(Arguments(image=str(tmp_path / "image"), present={f"/{name}": word for name, word in expected.items()}))

    check(**{"with": "capabilities=cap_net_raw=ep uid=0", "without": "capabilities="})
    with pytest.raises(CheckError):
        check(**{"with": "capabilities=cap_net_raw=p", "without": "capabilities=all=p"})
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"/with: has capabilities 0x{value.hex()}, not cap_net_raw=p",
        "/without: has no capabilities, not all=p",
    ]
    with pytest.raises(UserError, match="/with: 'cap_net_rw=p' has the unknown capability 'cap_net_rw'; did you mean"):
        check(**{"with": "capabilities=cap_net_rw=p"})
