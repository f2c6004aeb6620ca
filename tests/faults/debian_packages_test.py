"""Tests Bazel's error messages for unavailable locked packages, in a module that uses the rules.

It runs the Bazel in PATH, with a small archive in a directory, so it can't run in Bazel's sandbox.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import downstream as rules
from tests.downstream import Workspace
from tests.faults.members import LOGIN, NETRC_SETTINGS, members_only
from tools.debian.lock import Lock, LockedArchive, LockedPackage
from tools.debian.manifest import read_manifest
from tools.testing.debian_packages import build_deb

MODULE = (
    rules.MODULE
    + """
debian = use_extension("@rules_icos//debian:extensions.bzl", "debian")
debian.lock(name = "example", manifest = "//packages:example.toml")
use_repo(debian, "example")
"""
)
BUILD = """
load("@rules_icos//defs:debian.bzl", "debian_file")
debian_file(name = "file", src = "@example//packages:tool", path = "usr/share/tool")
debian_file(name = "missing", src = "@example//:base", path = "usr/share/nothing")
"""
MANIFEST = """
architectures = ["amd64"]
[archives.example]
mirrors = ["file://{folder}/mirror", "file://{folder}/second"]
suites = ["stable"]
components = ["main"]
keyring = "keys.asc"
[sets.base]
packages = ["tool"]
"""


@dataclasses.dataclass(frozen=True)
class Downstream(Workspace):
    """A module with a lock, and the archive of the lock."""

    archive: Path

    def build(self, *arguments: str) -> tuple[int, str]:
        """Builds targets without cached downloads."""
        return super().build("--repository_cache=", *arguments)

    def write_lock(self, change: Callable[[LockedPackage], LockedPackage] = lambda package: package) -> None:
        """Writes a lock for the package of the mirror, modified by `change`."""
        deb = self.archive / "mirror/tool_1.0_all.deb"
        package = LockedPackage(
            name="tool",
            version="1.0",
            architecture="all",
            archive="example",
            path=deb.name,
            sha256=hashlib.sha256(deb.read_bytes()).hexdigest(),
            size=deb.stat().st_size,
        )
        manifest = read_manifest(self.folder / "packages/example.toml")
        archive = LockedArchive(urls=manifest.archives["example"].mirrors, released={"stable": "2025-01-01T00:00:00Z"})
        text = Lock(manifest, {"example": archive}, {"base": {"amd64": [change(package)]}}).to_json()
        (self.folder / "packages/example.lock.json").write_text(text)

    def reset(self) -> None:
        """Restores the files of the module and the archive; keeps Bazel's server."""
        (self.folder / "packages").mkdir(parents=True, exist_ok=True)
        (self.folder / "MODULE.bazel").write_text(MODULE)
        (self.folder / "BUILD.bazel").write_text(BUILD)
        (self.folder / "packages/BUILD.bazel").write_text('exports_files(["example.toml", "example.lock.json"])\n')
        (self.folder / "packages/example.toml").write_text(MANIFEST.format(folder=self.archive))
        for name in ("mirror", "second", "root"):
            shutil.rmtree(self.archive / name, ignore_errors=True)
            (self.archive / name).mkdir()
        tool = self.archive / "root/usr/share/tool"
        tool.parent.mkdir(parents=True)
        tool.write_text("a tool\n")
        build_deb(self.archive / "mirror", "tool", self.archive / "root")
        self.write_lock()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    """One workspace for all tests, since another one would need another Bazel server."""
    folder = tmp_path_factory.mktemp("downstream")
    found = Downstream(folder / "workspace", folder / "bazel", folder)
    yield found
    found.bazel("shutdown")


@pytest.fixture
def downstream(server: Downstream) -> Downstream:
    """The workspace with a valid lock."""
    server.reset()
    return server


def test_fetches(downstream: Downstream) -> None:
    status, said = downstream.build("//:file")
    assert status == 0, said
    assert (downstream.folder / "bazel-bin/file").read_text() == "a tool\n"


def test_the_next_mirror(downstream: Downstream) -> None:
    (downstream.archive / "mirror").rename(downstream.archive / "gone")
    (downstream.archive / "second").rmdir()
    (downstream.archive / "gone").rename(downstream.archive / "second")
    status, said = downstream.build("//:file")
    assert status == 0, said


@pytest.mark.parametrize("setting", NETRC_SETTINGS)
def test_login_by_netrc(downstream: Downstream, setting: str) -> None:
    """A mirror that asks for a login gets it from the file that NETRC names, or from the user's."""
    netrc = downstream.archive / "home/.netrc"
    netrc.parent.mkdir(exist_ok=True)
    setting = setting.format(home=netrc.parent)
    manifest = downstream.folder / "packages/example.toml"
    with members_only(downstream.archive) as port:
        manifest.write_text(MANIFEST.format(folder=downstream.archive).replace("file://", f"http://127.0.0.1:{port}"))
        manifest.write_text(manifest.read_text().replace(str(downstream.archive), ""))
        downstream.write_lock()
        netrc.write_text(f"machine elsewhere {LOGIN}\n")
        status, said = downstream.build(setting, "//:file")
        assert status != 0
        assert "401" in said, said
        netrc.write_text(f"machine 127.0.0.1 {LOGIN}\n")
        status, said = downstream.build(setting, "//:file")
    assert status == 0, said


def test_wrong_hash(downstream: Downstream) -> None:
    downstream.write_lock(lambda package: dataclasses.replace(package, sha256="ab" * 32))
    status, said = downstream.build("//:file")
    assert status != 0
    assert f"package tool 1.0 (all): no URL of the lock has the file with SHA-256 {'ab' * 32}; tried:" in said, said
    assert "Where a checksum differs, the server, or a proxy on the way, has another file" in said, said
    assert f"file://{downstream.archive}/second/tool_1.0_all.deb" in said, said
    assert "update the lock:\n  bazel run //packages:example.lock" in said, said
    assert "Checksum was" in said, said


def test_withdrawn(downstream: Downstream) -> None:
    """A newer version in the mirror isn't used."""
    deb = downstream.archive / "mirror/tool_1.0_all.deb"
    deb.rename(deb.with_name("tool_1.1_all.deb"))
    status, said = downstream.build("//:file")
    assert status != 0
    assert "package tool 1.0 (all): no URL of the lock has the file" in said, said


def test_out_of_step(downstream: Downstream) -> None:
    manifest = downstream.folder / "packages/example.toml"
    manifest.write_text(manifest.read_text().replace('["tool"]', '["tool", "more"]'))
    status, said = downstream.build("@example//:base")
    assert status != 0
    assert "packages/example.lock.json: is outdated: its manifest has changed" in said, said
    assert "update it: bazel run //packages:example.lock" in said, said
    assert "Traceback" not in said, said


def test_comments_do_not_matter(downstream: Downstream) -> None:
    manifest = downstream.folder / "packages/example.toml"
    manifest.write_text(manifest.read_text() + "# a remark\n")
    status, said = downstream.build("@example//:base")
    assert status == 0, said


def test_no_lock(downstream: Downstream) -> None:
    (downstream.folder / "packages/example.lock.json").unlink()
    status, said = downstream.build("//:file")
    assert status != 0
    assert "//packages:example.lock.json: does not exist; create it, with access to the archive: " in said, said
    assert "bazel run //packages:example.lock" in said, said
    downstream.write_lock()
    status, said = downstream.build("//:file")
    assert status == 0, said


def test_lock_of_another_format(downstream: Downstream) -> None:
    lock = downstream.folder / "packages/example.lock.json"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"format": 2}))
    status, said = downstream.build("//:file")
    assert status != 0
    assert "isn't a lock of format 1; update it: bazel run //packages:example.lock" in said, said


def test_no_such_file_in_the_package(downstream: Downstream) -> None:
    status, said = downstream.build("//:missing")
    assert status != 0
    assert "error: tool_1.0_all.deb: no path matches 'usr/share/nothing'" in said, said
    assert "Traceback" not in said, said


def test_name_taken(downstream: Downstream) -> None:
    lock = 'debian.lock(name = "example", manifest = "//packages:example.toml")\n'
    assert lock in MODULE
    (downstream.folder / "MODULE.bazel").write_text(MODULE.replace(lock, lock * 2))
    status, said = downstream.build("//:file")
    assert status != 0
    assert 'both declare "example"; one must choose another name' in said, said
