"""Tests packages that are written without compression ahead of their reader."""

import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.expansion import expanded, permit_open
from tools.testing.debian_packages import build_deb, replace_data


def package(folder: Path, name: str, size: int) -> Deb:
    root = folder / f"{name}.root"
    root.mkdir()
    (root / name).write_bytes(os.urandom(size))
    return Deb(build_deb(folder, name, root))


@pytest.fixture
def debs(tmp_path: Path) -> dict[str, Deb]:
    sizes = {"aa": 3000, "bb": 200_000, "cc": 3000, "dd": 3000}
    return {name: package(tmp_path, name, size) for name, size in sizes.items()}


@pytest.fixture
def file_limit() -> Iterator[tuple[int, int]]:
    """The limit of open files, which is set to 100 here."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, before[1]))
    yield before
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_each_is_complete_when_it_is_returned(debs: dict[str, Deb], tmp_path: Path) -> None:
    with expanded(debs, ["cc"], str(tmp_path)) as written:
        for name in ("cc", "aa", "bb", "dd"):
            path = written(name)
            assert Path(path).parent == tmp_path
            with Deb(path) as copy, copy.data() as archive:
                assert archive.getnames() == [".", f"./{name}"]


def test_first_ones_then_large_ones(debs: dict[str, Deb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.debian.expansion.THREADS", 1)
    taken = []
    monkeypatch.setattr(Deb, "write_uncompressed", lambda _, path: taken.append(Path(path).stem))
    with expanded(debs, {"dd", "cc"}, str(tmp_path)) as written:
        written("aa")
    assert taken == ["cc", "dd", "bb", "aa"]


def test_a_damaged_one_fails_at_its_turn(debs: dict[str, Deb], tmp_path: Path) -> None:
    replace_data(Path(debs["bb"].path), "data.tar.xz", b"no archive")
    debs["bb"] = Deb(debs["bb"].path)
    with expanded(debs, [], str(tmp_path)) as written:
        written("aa")
        with pytest.raises(UserError, match=r"bb_1\.0_all\.deb: data\.tar\.xz is damaged"):
            written("bb")
        written("cc")


class Threads(ThreadPoolExecutor):
    """Threads whose first task is at work until those that wait are cancelled."""

    cancelled = threading.Event()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        self.cancelled.set()
        super().shutdown(wait=wait)


def test_what_is_left_is_left_out(debs: dict[str, Deb], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.debian.expansion.THREADS", 1)
    monkeypatch.setattr("tools.debian.expansion.ThreadPoolExecutor", Threads)
    begun = threading.Event()
    taken = []

    def write(deb: Deb, _: str) -> None:
        taken.append(deb)
        begun.set()
        assert Threads.cancelled.wait(60)

    monkeypatch.setattr(Deb, "write_uncompressed", write)
    with expanded(debs, ["aa"], str(tmp_path)):
        assert begun.wait(60)
    assert taken == [debs["aa"]]


def test_limit_of_open_files(file_limit: tuple[int, int]) -> None:
    """It is raised as far as needed, and never lowered."""
    permit_open(50)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (306, file_limit[1])
    permit_open(5)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (306, file_limit[1])
    permit_open(file_limit[1])
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (306, file_limit[1])
