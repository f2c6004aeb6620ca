from pathlib import Path

import pytest

from guestos_tools import build, disk_image, upgrade_image
from guestos_tools.build import Request, cache_folder, request
from guestos_tools.options import call


@pytest.fixture(autouse=True)
def no_work(tmp_path, monkeypatch):
    """An empty folder, and no build."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "_DOWNLOADED", tmp_path / "release")
    for module in (disk_image, upgrade_image):
        monkeypatch.setattr(module, "build", lambda _request: pytest.fail("work was begun"))


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (disk_image, [], "the following arguments are required: -o; --help lists the options"),
        (disk_image, ["-o", "missing/disk.img"], "-o: there is no folder missing"),
        (disk_image, ["-o", "."], "-o: '.' is not the name of a file"),
        (disk_image, ["-o", ""], "-o: '' is not the name of a file"),
        (disk_image, ["-o", "a", "-t", "test"], "argument -t: invalid choice: 'test'"),
        (disk_image, ["-o", "a", "-t", "prod", "-p", "root"], "-p: production has no passwords"),
        (disk_image, ["-o", "a", "-p", ""], "-p: the password must be one line of text that is not empty"),
        (disk_image, ["-o", "a", "-p", "a\nb"], "-p: the password must be one line of text that is not empty"),
        (disk_image, ["-o", "a", "-x", "missing"], "-x: there is no folder missing"),
        (disk_image, ["-o", "a", "-v"], "argument -v: expected one argument"),
        (disk_image, ["-o", "a", "b"], "unrecognized arguments: b"),
        (disk_image, ["-o", "a", "-r", "b"], "unrecognized arguments: -r b"),
        (upgrade_image, [], "there is nothing to write: give -o, or -r and -b"),
        (upgrade_image, ["-r", "a"], "-r and -b: belong together; give both, or neither"),
        (upgrade_image, ["-o", "a", "-b", "b"], "-r and -b: belong together; give both, or neither"),
        (upgrade_image, ["-r", "a", "-b", "./a"], "-r, -b: name the same file"),
        (upgrade_image, ["-o", "a", "-r", "b", "-b", "missing/c"], "-b: there is no folder missing"),
        (upgrade_image, ["-o", "a", "-t", "prod", "-p", "root"], "-p: production has no passwords"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(tmp_path, capsys, module, options, message):
    assert call(module.PROGRAM, module.main, options) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{module.PROGRAM}: error: {message}")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_downloaded_binaries_are_the_default(tmp_path):
    assert request("dev", None, None, None) == Request("dev", None, None, None)
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "replica").write_bytes(b"")
    assert request("dev", "1", "p", None) == Request("dev", "1", "p", tmp_path / "release")
    (tmp_path / "other").mkdir()
    assert request("dev", "1", "p", "other") == Request("dev", "1", "p", Path("other"))


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a")
    for name in ("ICOS_BUILD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path("/home/a/.cache/rules_icos/scripts")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/rules_icos/scripts")
    monkeypatch.setenv("ICOS_BUILD_CACHE", "/other")
    assert cache_folder() == Path("/other")
