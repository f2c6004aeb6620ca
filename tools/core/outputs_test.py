import os
import stat

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


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_mode_does_not_depend_on_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "out"):
            pass
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o644


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


def test_symbolic_link_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("target")
    with replacing(tmp_path / "link") as fd:
        write_all(fd, b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"
