import os

import pytest

from tools.core.errors import UserError
from tools.core.folders import private_folder


def test_a_new_folder_is_for_its_owner(tmp_path):
    made = private_folder(tmp_path / "a/b")
    assert made == tmp_path / "a/b"
    assert made.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o500])
def test_an_own_folder_is_taken(tmp_path, mode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    (tmp_path / "link").symlink_to("a")
    assert private_folder(tmp_path / "link") == tmp_path / "a"


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_not_one_that_others_may_write(tmp_path, mode):
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(mode)
    with pytest.raises(UserError, match="/a: other users may write it"):
        private_folder(tmp_path / "a")


def test_others_must_not_be_able_to_exchange_it(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b").chmod(0o755)
    (tmp_path / "a").chmod(0o777)
    with pytest.raises(UserError, match="/a: other users may write it"):
        private_folder(tmp_path / "a/b")
    (tmp_path / "a").chmod(0o1777)
    assert private_folder(tmp_path / "a/b") == tmp_path / "a/b"


@pytest.mark.parametrize("inner", ["", "b"])
def test_not_one_of_another_user(tmp_path, monkeypatch, inner):
    (tmp_path / "a" / inner).mkdir(parents=True)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if os.getuid() == 0:
        os.chown(tmp_path / "a", 4712, 4712)
    with pytest.raises(UserError, match="belongs to user"):
        private_folder(tmp_path / "a" / inner)
