import os

import pytest
from guestos import bootstrap, bootstrap_archive
from guestos.errors import GuestError

from guestos_tools.bootstrap_limits import MAX_CONFIG, check_archive
from guestos_tools.bootstrap_media import PROGRAM, main
from guestos_tools.options import call
from tools.core.errors import UserError
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tree.node import Directory, File
from tools.tree.tar_writer import tar_image

MEMBERS = 20


@pytest.fixture(autouse=True)
def _limits(monkeypatch):
    """Replaces the accounts of a machine, which this one lacks, and a limit that takes long to reach."""
    monkeypatch.setattr(bootstrap, "owner_of", lambda _: (os.geteuid(), os.getegid()))
    monkeypatch.setattr(bootstrap_archive, "MAX_MEMBERS", MEMBERS)


def file(size=1):
    return File(content=Image.from_bytes(bytes(size)))


def state(entries):
    return Directory(entries={b"ic_state": Directory(entries=entries)})


AT_THE_LIMIT = [
    state({f"ü {number}".encode(): file() for number in range(MEMBERS - 2)}),
    state({b"a" * 255: file()}),
    Directory(entries={b"config.json": file(MAX_CONFIG - 1), b"nns.conf": file(1)}),
    Directory(entries={b"config.json": file(MAX_CONFIG), b"ic_state": Directory(entries={b"f": file()})}),
]
BEYOND = [
    (state({f"{number}".encode(): file() for number in range(MEMBERS - 1)}), f"has more than {MEMBERS} members or"),
    (state({b"a" * 256: file()}), "with a name of more than 255 bytes, or 1024 in all"),
    (state({b"a\nb": file()}), "which is not a relative name of printable characters"),
    (state({b"\xff": file()}), "which is not a relative name of printable characters"),
    (
        Directory(entries={b"config.json": file(MAX_CONFIG), b"nns.conf": file(1)}),
        "the files for /boot/config have 16777217 bytes",
    ),
]


def taken_by_machine(root, folder):
    """Has a machine import an archive; returns whether it does."""
    for name in ("boot/config", "var/lib/ic/crypto", "var/lib/ic/data"):
        (folder / name).mkdir(parents=True)
    write_raw(tar_image(root), folder / "tar")
    try:
        bootstrap.import_archive(folder / "tar", folder)
    except GuestError:
        return False
    return True


@pytest.mark.parametrize("root", AT_THE_LIMIT)
def test_what_a_machine_takes_is_taken(tmp_path, root):
    check_archive(tar_image(root))
    assert taken_by_machine(root, tmp_path)


@pytest.mark.parametrize(("root", "message"), BEYOND)
def test_what_a_machine_refuses_is_refused(tmp_path, root, message):
    with pytest.raises(UserError, match=message) as caught:
        check_archive(tar_image(root))
    assert "\n" not in str(caught.value)
    assert not taken_by_machine(root, tmp_path)


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_such_a_medium_is_not_written(tmp_path, capsys, form):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "a\nb").write_bytes(b"")
    assert call(PROGRAM, main, [*form, str(tmp_path / "out"), f"--ic_state={tmp_path}/state"]) == 2
    assert capsys.readouterr().err == (
        f"{PROGRAM}: error: a machine would refuse this configuration: the archive has a member 'ic_state/a\\nb', "
        "which is not a relative name of printable characters\n"
    )
    assert os.listdir(tmp_path) == ["state"]
