import os
import stat

import pytest

from guestos.folders import enter, open_folder, write

ME = (os.geteuid(), os.getegid())


@pytest.fixture
def folder(tmp_path):
    descriptor = open_folder(tmp_path)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_file_is_its_owners_alone_until_it_is_complete(tmp_path, folder, umask):
    modes = []

    def parts():
        for part in (b"sec", b"ret"):
            modes.extend(stat.S_IMODE(path.lstat().st_mode) for path in tmp_path.iterdir())
            yield part

    before = os.umask(umask)
    try:
        write(folder, "key", parts(), ME, 0o644)
    finally:
        os.umask(before)
    assert modes == [0o600, 0o600]
    assert (tmp_path / "key").read_bytes() == b"secret"
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o644


def test_a_failure_leaves_the_file_that_was_there(tmp_path, folder):
    def parts():
        yield b"new"
        raise OSError(5, "Input/output error")

    (tmp_path / "key").write_bytes(b"old")
    with pytest.raises(OSError, match="Input/output error"):
        write(folder, "key", parts(), ME, 0o600)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"key": b"old"}


def test_a_link_that_a_service_makes_meanwhile_is_not_followed(tmp_path, folder, monkeypatch):
    """The link appears after remains of earlier runs were deleted."""
    (tmp_path / "outside").write_bytes(b"untouched")
    unlink = os.unlink
    monkeypatch.setattr(
        os, "unlink", lambda name, **where: (tmp_path / name).symlink_to("outside") if where else unlink(name)
    )
    with pytest.raises(FileExistsError):
        write(folder, "key", [b"secret"], ME, 0o600)
    assert (tmp_path / "outside").read_bytes() == b"untouched"


@pytest.mark.parametrize("mode", [0o700, 0o2750])
def test_a_folder_gets_its_mode_whether_it_exists_or_not(tmp_path, mode):
    (tmp_path / "old").mkdir(mode=0o777)
    for name in ("old", "new"):
        os.close(enter(open_folder(tmp_path), name, ME, mode))
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode


@pytest.mark.parametrize("name", ["link", "file"])
def test_what_is_no_folder_is_not_entered(tmp_path, name):
    (tmp_path / "folder").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "file").write_bytes(b"")
    count = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotADirectoryError):
        enter(open_folder(tmp_path), name, ME, 0o700)
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o755
    assert len(os.listdir("/proc/self/fd")) == count
