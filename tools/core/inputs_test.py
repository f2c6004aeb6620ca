import os
import stat

import pytest

from tools.core.inputs import mode_for_readers, record, recording
from tools.core.outputs import replacing, write_all


@pytest.fixture(autouse=True)
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def secret(path, mode=0o600, group=-1):
    path.write_text("secret")
    path.chmod(mode)
    os.chown(path, -1, group)
    return path


def mode_of_output(path):
    with replacing(path) as fd:
        write_all(fd, b"x")
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [(0o644, 0o644), (0o600, 0o600), (0o400, 0o600), (0o640, 0o640), (0o660, 0o640), (0o604, 0o644), (0o000, 0o600)],
)
def test_output_is_for_the_readers_of_an_input(tmp_path, mode, expected):
    with recording():
        record(secret(tmp_path / "in", mode, os.getegid()))
        assert mode_of_output(tmp_path / "out") == expected


def test_umask_counts_too(tmp_path):
    os.umask(0o077)
    with recording():
        record(secret(tmp_path / "in", 0o640, os.getegid()))
        assert mode_of_output(tmp_path / "out") == 0o600


def test_only_one_group_may_read_an_output(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getegid", lambda: 4711)
    with recording():
        record(secret(tmp_path / "in", 0o640))
        assert mode_for_readers(0o666, 4711) == 0o600
        assert mode_for_readers(0o666, (tmp_path / "in").stat().st_gid) == 0o660
        assert mode_of_output(tmp_path / "out") == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to other groups")
def test_group_of_the_folder_counts_if_files_get_it(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    os.chown(folder, -1, 4711)
    folder.chmod(0o2755)
    with recording():
        record(secret(tmp_path / "in", 0o640, 4711))
        assert mode_of_output(folder / "out") == 0o640
        record(secret(tmp_path / "other", 0o640, 4712))
        assert mode_of_output(folder / "out") == 0o600


def test_a_secret_that_is_read_while_the_output_is_written(tmp_path):
    with recording(), replacing(tmp_path / "out"):
        record(secret(tmp_path / "in"))
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600


def test_a_command_does_not_see_the_inputs_of_another_one(tmp_path):
    secret(tmp_path / "in")
    with recording():
        record(tmp_path / "in")
        with recording():
            assert mode_of_output(tmp_path / "out") == 0o644
        assert mode_of_output(tmp_path / "out") == 0o600
    record(tmp_path / "in")
    assert mode_of_output(tmp_path / "out") == 0o644


def test_what_has_no_content_is_no_input(tmp_path):
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with recording():
        for path in (tmp_path / "folder", tmp_path / "pipe", tmp_path / "none", "", "a\0b", "/dev/null"):
            record(path)
        assert mode_of_output(tmp_path / "out") == 0o644
