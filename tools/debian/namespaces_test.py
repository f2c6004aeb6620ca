"""Tests running a function in a chroot with namespaces, and the error where they are not permitted."""

import os
import socket
import stat
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.namespaces import Devices, run_in_root
from tools.testing.oracles import unavailable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root, on a machine that permits namespaces or chroot."""
    folder = tmp_path / "root"
    folder.mkdir()
    try:
        run_in_root(folder, lambda _: None)
    except UserError as error:
        unavailable(str(error))
    (folder / "file").write_text("outside")
    return folder


def test_sees_its_own_files_only(root: Path) -> None:
    def work(_: Devices) -> None:
        assert os.getuid() == 0
        assert os.getcwd() == "/"
        assert sorted(os.listdir("/")) == ["dev", "file", "proc"]
        Path("/file").write_text("inside")
        Path("/new").mkdir()

    run_in_root(root, work)
    assert (root / "file").read_text() == "inside"
    assert (root / "new").stat().st_mode == stat.S_IFDIR | 0o755
    assert (root / "new").stat().st_uid == os.getuid()


def test_devices(root: Path) -> None:
    def work(devices: Devices) -> None:
        Path("/dev/null").write_bytes(b"gone")
        assert Path("/dev/null").read_bytes() == b""
        with open("/dev/zero", "rb") as zero:
            assert zero.read(3) == bytes(3)
        assert os.readlink("/dev/stdout") == "fd/1"
        devices.remove()
        assert os.listdir("/dev") == []
        assert os.listdir("/proc") == []

    run_in_root(root, work)


def test_nothing_of_the_machine(root: Path) -> None:
    """In namespaces, there is no network, and the host's name and processes are hidden."""

    def work(_: Devices) -> None:
        if os.getpid() != 1:
            raise UserError("no namespaces")
        assert socket.gethostname() == "localhost"
        with socket.socket() as connection, pytest.raises(OSError, match="unreachable"):
            connection.connect(("192.0.2.1", 80))

    try:
        run_in_root(root, work)
    except UserError as error:
        unavailable(str(error))


def test_user_error_arrives(root: Path) -> None:
    def work(_: Devices) -> None:
        raise UserError("päckage is broken")

    with pytest.raises(UserError, match=r"^päckage is broken$"):
        run_in_root(root, work)


def test_other_errors_arrive(root: Path) -> None:
    def work(_: Devices) -> None:
        raise ValueError("a mistake")

    with pytest.raises(RuntimeError, match="ValueError: a mistake"):
        run_in_root(root, work)


def test_ends_without_a_word(root: Path) -> None:
    """As if the kernel had killed it for want of memory."""
    with pytest.raises(UserError, match=r"was killed; if it was for want of memory, .* fewer targets"):
        run_in_root(root, lambda _: os._exit(1))


def test_where_it_is_not_allowed(root: Path) -> None:
    """In such a chroot the kernel permits neither another user namespace nor device nodes."""

    def work(_: Devices) -> None:
        Path("/inner").mkdir()
        run_in_root(Path("/inner"), lambda _: None)

    with pytest.raises(UserError, match=r"^cannot create namespaces .*: allow user namespaces .*remote cache$"):
        run_in_root(root, work)


def test_umask_of_the_caller_does_not_matter(root: Path) -> None:
    before = os.umask(0o077)
    try:
        run_in_root(root, lambda _: Path("/folder").mkdir())
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "folder").stat().st_mode) == 0o755


@pytest.mark.parametrize("memory", [0, 1 << 20])
def test_memory(root: Path, memory: int) -> None:
    """In memory, files are as in any root, and nothing of it remains on disk."""

    def work(_: Devices) -> None:
        assert stat.S_IMODE(Path("/").stat().st_mode) == 0o755
        Path("/new").write_bytes(bytes(1 << 16))
        if memory and os.getpid() == 1:
            assert os.statvfs("/").f_blocks * os.statvfs("/").f_frsize == memory
            with pytest.raises(OSError, match="No space left"):
                Path("/large").write_bytes(bytes(2 << 20))
            Path("/large").unlink()
            Path("/new").unlink()

    run_in_root(root, work, memory)
    assert sorted(os.listdir(root)) == ["dev", "file", "new", "proc"] if not memory else ["file"]
