import contextlib
import os
import stat
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all


def test_output_takes_the_place_of_what_was_there(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    with replacing(path) as fd:
        write_all(fd, b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


@contextlib.contextmanager
def umask(value):
    before = os.umask(value)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.parametrize("value", [0o000, 0o022, 0o027, 0o077])
def test_mode_follows_the_umask(tmp_path, value):
    with umask(value), replacing(tmp_path / "out"):
        pass
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o666 & ~value


def test_a_secret_is_for_its_owner_from_before_its_first_byte(tmp_path):
    path = tmp_path / "out"
    path.write_text("old")
    path.chmod(0o644)
    with umask(0), replacing(path, secret=True) as fd:
        assert stat.S_IMODE(os.fstat(fd).st_mode) == 0o600
        write_all(fd, b"key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_no_secret_where_others_exchange_files(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(UserError, match="other users may exchange files"), replacing(tmp_path / "out", secret=True):
        pass
    with replacing(tmp_path / "out"):
        pass
    tmp_path.chmod(0o1777)
    with replacing(tmp_path / "out", secret=True):
        pass


@pytest.mark.parametrize("interruption", [UserError("no"), KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_nothing_is_left_of_an_output_that_failed(tmp_path, interruption):
    path = tmp_path / "out"
    path.write_text("old")
    with pytest.raises((UserError, KeyboardInterrupt)), replacing(path):
        raise interruption
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]


def test_full_disk_is_an_error_that_names_the_output(tmp_path):
    with (
        pytest.raises(UserError, match=r"out: cannot be written: No space left on device"),
        replacing(tmp_path / "out"),
    ):
        raise OSError(28, os.strerror(28))


def test_missing_folder_is_an_error_that_names_the_output(tmp_path):
    with pytest.raises(UserError, match=r"none/out: cannot be written: No such file"), replacing(tmp_path / "none/out"):
        pass


@pytest.mark.parametrize("path", ["/dev/null", "/"])
def test_only_regular_files_are_replaced(path):
    with pytest.raises(UserError, match="not a regular file"), replacing(path):
        pass
    assert os.path.exists("/dev/null")


@pytest.mark.parametrize("output", ["link", "folder/../folder/link", "away/link"])
def test_symbolic_link_is_followed(tmp_path, monkeypatch, output):
    (tmp_path / "folder").mkdir()
    for folder in (tmp_path, tmp_path / "folder"):
        (folder / "link").symlink_to("target")
    (tmp_path / "away").symlink_to(tmp_path / "folder")
    monkeypatch.chdir(tmp_path)
    with replacing(output) as fd:
        write_all(fd, b"new")
    target = tmp_path / ("target" if output == "link" else "folder/target")
    assert target.read_bytes() == b"new"
    assert not target.is_symlink()
    assert Path(output).is_symlink()


@pytest.fixture(params=[0o1777, 0o777], ids=["sticky", "not sticky"])
def shared_folder(request, tmp_path):
    """A folder that all users may write, in one with a file that a stranger's link could lead to."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(request.param)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("old")
    return folder


@pytest.fixture
def stranger(monkeypatch):
    """Makes links whose names begin with `their` look as if somebody else had made them, also without root."""
    real = os.fstat

    def fake(fd):
        status = list(real(fd))
        if os.path.basename(os.readlink(f"/proc/self/fd/{fd}")).startswith("their"):
            status[stat.ST_UID] = 4711
        return os.stat_result(status)

    monkeypatch.setattr(os, "fstat", fake)


@pytest.mark.parametrize(("link", "target", "output"), [("their", "file", "their"), ("their", "", "their/file")])
def test_a_strangers_link_is_not_followed(tmp_path, shared_folder, stranger, link, target, output):
    (shared_folder / link).symlink_to(tmp_path / "mine" / target)
    error = "their on the way is a symbolic link that user 4711 made"
    with pytest.raises(UserError, match=error), replacing(shared_folder / output):
        pass
    assert (tmp_path / "mine/file").read_text() == "old"
    shared_folder.chmod(0o755)  # whoever may write such a folder could replace its files, too
    with replacing(shared_folder / output) as fd:
        write_all(fd, b"new")
    assert (tmp_path / "mine/file").read_text() == "new"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a link away; `stranger` tests the same without")
def test_a_link_that_another_user_made_is_not_followed(tmp_path, shared_folder):
    (shared_folder / "link").symlink_to(tmp_path / "mine/file")
    os.chown(shared_folder / "link", 4711, 4711, follow_symlinks=False)
    with pytest.raises(UserError, match="user 4711 made"), replacing(shared_folder / "link"):
        pass
    assert (tmp_path / "mine/file").read_text() == "old"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a link away")
def test_a_link_that_is_exchanged_for_an_own_one_is_not_followed(tmp_path, shared_folder, monkeypatch):
    """Whoever may do that, its target and its owner are those of one link."""
    (shared_folder / "link").symlink_to(tmp_path / "mine/file")
    (shared_folder / "own").symlink_to("elsewhere")
    os.chown(shared_folder / "link", 4711, 4711, follow_symlinks=False)
    real = os.readlink

    def read(path, **arguments):
        target = real(path, **arguments)
        if (shared_folder / "own").is_symlink():
            (shared_folder / "own").rename(shared_folder / "link")
        return target

    monkeypatch.setattr(os, "readlink", read)
    with pytest.raises(UserError, match="user 4711 made"), replacing(shared_folder / "link"):
        pass
    assert (tmp_path / "mine/file").read_text() == "old"


def test_a_link_that_appears_in_the_meantime_is_replaced_itself(tmp_path):
    (tmp_path / "victim").write_text("old")
    with replacing(tmp_path / "out") as fd:
        write_all(fd, b"new")
        (tmp_path / "out").symlink_to("victim")
    assert not (tmp_path / "out").is_symlink()
    assert (tmp_path / "victim").read_text() == "old"


def test_a_folder_that_is_exchanged_in_the_meantime_is_not_written(tmp_path):
    for name in ("folder", "victim"):
        (tmp_path / name).mkdir()
    with replacing(tmp_path / "folder/out") as fd:
        write_all(fd, b"new")
        (tmp_path / "folder").rename(tmp_path / "moved")
        (tmp_path / "folder").symlink_to("victim")
    assert os.listdir(tmp_path / "victim") == []
    assert (tmp_path / "moved/out").read_bytes() == b"new"


def test_links_in_a_circle_are_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(UserError, match="a: cannot be written: Too many levels"), replacing(tmp_path / "a"):
        pass


@pytest.mark.parametrize("path", ["", ".", "..", "./"])
def test_a_path_without_a_name_is_an_error(path):
    with pytest.raises(UserError, match="not a regular file"), replacing(path):
        pass
