import hashlib
import json
from pathlib import Path

import pytest

from guestos_tools.download import Policy
from guestos_tools.packages import Packages
from tools.core.errors import UserError
from tools.debian.manifest import read_manifest
from tools.testing.faulty_server import serving, status

POLICY = Policy(attempts=2, timeout=10, pause=0)
MANIFEST = """
architectures = ["amd64"]
[archives.a]
mirrors = ["URL/missing", "URL"]
suites = ["stable"]
components = ["main"]
keyring = "keyring.asc"
[sets.base]
essential = true
packages = ["xx", "yy"]
provided = ["virtual"]
"""


def content(name):
    return f"content of {name}".encode()


def sha256(name):
    return hashlib.sha256(content(name)).hexdigest()


def package(name):
    return {
        "name": name,
        "version": "1",
        "architecture": "amd64",
        "archive": "a",
        "path": f"pool/{name}_1_amd64.deb",
        "sha256": sha256(name),
        "size": len(content(name)),
    }


@pytest.fixture
def lock(tmp_path):
    """Writes a lock of packages and its manifest; returns the lock."""

    def write(*names, url="https://mirror.example/debian"):
        folder = tmp_path / "third_party" / "distro"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "one.toml").write_text(MANIFEST.replace("URL", url))
        keys = [f"{name}_amd64" for name in names]
        text = {
            "format": 1,
            "manifest": read_manifest(folder / "one.toml").digest(),
            "archives": {"a": {"urls": [f"{url}/missing", url], "released": {"stable": "2025-01-02T00:00:00Z"}}},
            "sets": {"base": {"provided": ["virtual"], "packages": {"amd64": keys}}},
            "packages": {key: package(name) for key, name in zip(keys, names, strict=True)},
        }
        (folder / "one.lock.json").write_text(json.dumps(text))
        return folder / "one.lock.json"

    return write


def test_a_set_has_its_packages_in_order(lock, tmp_path):
    packages = Packages(lock("yy", "xx"), tmp_path / "packages", POLICY)
    assert packages.sets() == ["base"]
    assert packages.provided("base") == ["virtual"]
    assert packages.files("base") == [f"{tmp_path}/packages/{sha256(name)}/{name}_1_amd64.deb" for name in ("yy", "xx")]


def test_packages_are_downloaded_once(lock, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    names = [f"n{number}" for number in range(20)]
    said = []
    with serving() as server:
        server.files.update({f"/pool/{name}_1_amd64.deb": content(name) for name in names})
        for _ in range(2):
            packages = Packages(lock(*names, url=server.url), tmp_path / "packages", POLICY)
            packages.download(["base", "base"], said.append)
            assert [Path(path).read_bytes() for path in packages.files("base")] == [content(name) for name in names]
        assert len(server.requests) == 40
    assert said == ["downloading 20 packages"]


def test_a_package_that_cannot_be_had_ends_the_build(lock, tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as server:
        path = "/pool/xx_1_amd64.deb"
        server.files[path] = content("xx")
        server.faults[path] = [status(500)] * 2
        packages = Packages(lock("xx", url=server.url), tmp_path / "packages", POLICY)
        with pytest.raises(UserError, match=r"/missing/pool/xx.*: is not there.*; .*xx.*: the server answers 500"):
            packages.download(["base"], lambda _message: None)


def test_a_lock_that_is_out_of_step_is_refused(lock, tmp_path):
    path = lock("xx", "yy")
    path.with_name("one.toml").write_text(path.with_name("one.toml").read_text().replace('"yy"', '"zz"'))
    with pytest.raises(UserError, match=r"outdated.*bazel run //third_party/distro:one\.lock"):
        Packages(path, tmp_path, POLICY)
