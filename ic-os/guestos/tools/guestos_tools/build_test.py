import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from guestos_tools import build, compressed_upgrade_image, disk_image, upgrade_image
from guestos_tools.build import Request, add_options, placeholders, request
from guestos_tools.options import Parser, call
from guestos_tools.reference_payload import PROGRAMS
from guestos_tools.wheels import cache_folder
from tools.core.errors import UserError

PROD = ["-o", "a", "-t", "prod"]


@pytest.fixture(autouse=True)
def no_work(tmp_path, monkeypatch):
    """A folder with some executables and keys, and no build."""
    for name in ("some/orchestrator", "some/state-tool", "some/other", "k/a.pem", "k/a.txt", "l/a.pem"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(build, "_DOWNLOADED", tmp_path / "release")
    for module in (compressed_upgrade_image, disk_image, upgrade_image):
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
        (disk_image, ["-o", "a", "-x", "some"], "-x some: has no executable replica; it has orchestrator, state-tool"),
        (disk_image, ["-o", "a", "-v", "a b"], "-v: 'a b' is not a version; it has one or more letters, digits"),
        (disk_image, ["-o", "a", "-v", ""], "-v: '' is not a version"),
        (disk_image, ["-o", "a", "-v", "1~rc1"], "-v: '1~rc1' is not a version"),  # the orchestrator refuses it
        (disk_image, ["-o", "a", "-d", "trixie"], "argument -d/--distribution: invalid choice: 'trixie'"),
        (disk_image, ["-o", "a", "--update-key", "k/a.pem"], "--update-key: dev has the key in ic-os/guestos/update"),
        (disk_image, ["-o", "a", "--signing-key", "k/a.pem"], "--signing-key: dev has the key in ic-os/guestos/update"),
        (disk_image, [*PROD, "--update-key", "k/b.pem"], "--update-key: WORK/k/b.pem is not a file whose name ends in"),
        (disk_image, [*PROD, "--update-key", "k/a.txt"], "--update-key: WORK/k/a.txt is not a file whose name ends in"),
        (
            disk_image,
            [*PROD, "--update-key", "k/a.pem", "--update-key", "l/a.pem"],
            "--update-key: two keys have the same file name",
        ),
        (disk_image, ["-o", "a", "-v"], "argument -v: expected one argument"),
        (disk_image, ["-o", "a", "b"], "unrecognized arguments: b"),
        (disk_image, ["-o", "a", "-r", "b"], "unrecognized arguments: -r b"),
        (upgrade_image, [], "there is nothing to write: give -o, or -r and -b"),
        (upgrade_image, ["-r", "a"], "-r and -b: belong together; give both, or neither"),
        (upgrade_image, ["-o", "a", "-b", "b"], "-r and -b: belong together; give both, or neither"),
        (upgrade_image, ["-r", "a", "-b", "./a"], "-r, -b: name the same file"),
        (upgrade_image, ["-o", "a", "-r", "b", "-b", "missing/c"], "-b: there is no folder missing"),
        (upgrade_image, ["-o", "a", "-t", "prod", "-p", "root"], "-p: production has no passwords"),
        (compressed_upgrade_image, [], "the following arguments are required: -o; --help lists the options"),
        (compressed_upgrade_image, ["-o", "a", "-f", "xz"], "argument -f: invalid choice: 'xz'"),
        (compressed_upgrade_image, ["-o", "."], "-o: '.' is not the name of a file"),
        (
            compressed_upgrade_image,
            [*PROD, "--update-key", "k/a.pem"],
            "-t prod without --signing-key: no machine would accept this upgrade",
        ),
        (
            disk_image,
            ["-o", "a", "-t", "prod"],
            "-t prod without --update-key: its machines would never accept an upgrade",
        ),
        (disk_image, ["-o", "a", "-t", "prod", "--unsigned"], "-t prod without --update-key: its machines would never"),
        (disk_image, ["-o", "a", "--without-update-keys"], "--without-update-keys: is for prod only"),
        (upgrade_image, ["-o", "a", "--unsigned"], "--unsigned: is for prod only"),
        (
            upgrade_image,
            ["-o", "a", "-t", "prod", "--update-key", "k/a.pem"],
            "-t prod without --signing-key: no machine would accept this upgrade; give it, or --unsigned if",
        ),
        (
            upgrade_image,
            ["-o", "a", "-t", "prod", "--update-key", "k/a.pem", "--without-update-keys"],
            "--update-key, --without-update-keys: exclude each other",
        ),
    ],
)
def test_bad_arguments_are_refused_before_any_work(tmp_path, capsys, module, options, message):
    before = sorted(tmp_path.rglob("*"))
    assert call(module.PROGRAM, module.main, options) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{module.PROGRAM}: error: {message.replace('WORK', str(tmp_path))}")
    assert error.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def wanted(*options):
    parser = Parser("program", "")
    add_options(parser)
    return request(parser.parse_args(options), is_signed=True)


def test_defaults():
    assert wanted() == Request(variant="dev", distribution="debian", version="0.0.0", password="root", executables=None)


def test_downloaded_binaries_are_the_default(tmp_path):
    (tmp_path / "release").mkdir()
    (tmp_path / "release" / "replica").write_bytes(b"")
    assert wanted().executables == tmp_path / "release"
    (tmp_path / "some" / "replica").write_bytes(b"")
    assert wanted("-x", "some").executables == tmp_path / "some"


def test_placeholders_have_what_was_asked_for(tmp_path):
    payload = tmp_path / "payload"
    assert placeholders(wanted("-v", "1", "-p", "p"), payload) == {
        **{f"executables:{name}": [str(payload / name)] for name in PROGRAMS},
        "password": ["p"],
        "signing_key:*": [],
        "update_keys:*": [],
        "version": ["1"],
    }
    (tmp_path / "some" / "replica").write_bytes(b"")
    keys = ["--update-key", "k/a.pem", "--signing-key", "l/a.pem"]
    found = placeholders(wanted("-t", "prod", "-x", "some", *keys), payload)
    assert {name: value for name, value in found.items() if name not in ("password", "version")} == {
        "executables:orchestrator": [f"{tmp_path}/some/orchestrator"],
        "executables:replica": [f"{tmp_path}/some/replica"],
        "executables:state-tool": [f"{tmp_path}/some/state-tool"],
        "signing_key:*": [f"{tmp_path}/l/a.pem"],
        "update_keys:*": [f"{tmp_path}/k/a.pem"],
    }


def test_the_cache_is_where_the_environment_says(monkeypatch):
    monkeypatch.setenv("HOME", "/home/a")
    for name in ("ICOS_BUILD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert cache_folder() == Path("/home/a/.cache/rules_icos/scripts")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder() == Path("/cache/rules_icos/scripts")
    monkeypatch.setenv("ICOS_BUILD_CACHE", "/other")
    assert cache_folder() == Path("/other")


def test_the_scripts_start_without_any_distribution():
    """The scripts fetch wheels themselves, with what Python has."""
    absent = ("absl", "cryptography", "deflate", "google_crc32c", "passlib", "zstandard")
    modules = "compressed_upgrade_image, disk_image, upgrade_image"
    code = f"import sys; sys.modules |= dict.fromkeys({absent}); from guestos_tools import {modules}"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_prod_without_keys_where_that_is_meant():
    found = wanted("-t", "prod", "--without-update-keys", "--unsigned")
    assert (found.variant, found.update_keys, found.signing_keys) == ("prod", (), ())


def test_partition_images_of_prod_need_no_signature(monkeypatch):
    for module, options in (
        (disk_image, ["-o", "a"]),
        (upgrade_image, ["-r", "a", "-b", "b"]),
    ):
        begun = []
        monkeypatch.setattr(
            module, "build", lambda request, begun=begun: begun.append(request) or nullcontext(MagicMock())
        )
        assert call(module.PROGRAM, module.main, [*options, "-t", "prod", "--update-key", "k/a.pem"]) == 0
        assert [path.name for path in begun[0].update_keys] == ["a.pem"]


@pytest.mark.parametrize(
    ("options", "name"),
    [([], "update-img.tar.gz"), (["-f", "gz"], "update-img.tar.gz"), (["-f", "zstd"], "update-img.tar.zst")],
)
def test_the_format_of_the_compressed_upgrade_image(tmp_path, monkeypatch, options, name):
    made = tmp_path / "made"
    made.write_bytes(b"image\n")
    building = MagicMock()
    building.make.return_value = made
    monkeypatch.setattr(compressed_upgrade_image, "build", lambda _request: nullcontext(building))
    assert call(compressed_upgrade_image.PROGRAM, compressed_upgrade_image.main, ["-o", "out", *options]) == 0
    building.make.assert_called_once_with(name)
    assert (tmp_path / "out").read_bytes() == b"image\n"


def pem(path, key):
    path.write_text(f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n")
    return str(path)


def test_a_build_says_which_keys_its_machines_accept(tmp_path, monkeypatch, capsys):
    release = pem(tmp_path / "release.pem", "MCowBQYDK2VwAyEAJ2NV+JnoymxA0SOXLwnL7NAkIIHYY0HaMwEX7g2Zhsg=")
    test_key = pem(tmp_path / "test-only.pem", "MCowBQYDK2VwAyEAH70xtAlA55o0iPWd02j2XXX3Isr9Kx6o1gIsbY7eIZE=")
    monkeypatch.setattr(build, "_TEST_KEY", Path(test_key))
    monkeypatch.setattr(build, "WORKSPACE", MagicMock())
    for name in ("Packages", "Runner", "Wheels", "read_plan"):
        monkeypatch.setattr(build, name, MagicMock())
    for options, line in (
        ((), "Machines with this image (dev) accept upgrades that are signed by one of these keys:"),
        (("-t", "prod", "--update-key", release, "--unsigned"), "release.pem, does not expire"),
        (("-t", "prod", "--without-update-keys", "--unsigned"), "(prod) accept no upgrade: it has no update keys."),
    ):
        build.Build(wanted(*options), tmp_path, tmp_path).make("disk-img.tar")
        assert line in capsys.readouterr().err
    with pytest.raises(UserError, match="must not be a key of prod"):
        build.Build(wanted("-t", "prod", "--update-key", test_key, "--unsigned"), tmp_path, tmp_path).make("x")
