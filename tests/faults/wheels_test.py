"""Tests downloads of wheels from a server that asks for a login, in a module with a lock of its own.

It runs the Bazel in PATH, with a small wheel in a directory, so it can't run in Bazel's sandbox.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.downstream import MODULE, Workspace
from tests.faults.members import LOGIN, NETRC_SETTINGS, members_only

PYPI = """
pypi = use_extension("@rules_icos//third_party/python:extension.bzl", "pypi")
pypi.lock(name = "members", lock = "//:members.lock.json")
use_repo(pypi, "members")
"""
WHEEL = "tool-1.0-py3-none-any.whl"


@dataclass(frozen=True)
class Downstream(Workspace):
    """A module with a lock of a wheel, and the folder that has the wheel."""

    files: Path

    def build(self, *arguments: str) -> tuple[int, str]:
        """Builds targets without cached downloads."""
        return super().build("--repository_cache=", *arguments)

    def write_lock(self, port: int) -> None:
        """Writes a lock for the wheel on a port of this machine."""
        wheel = {
            "cpus": ["aarch64", "x86_64"],
            "sha256": hashlib.sha256((self.files / WHEEL).read_bytes()).hexdigest(),
            "tags": ["py3-none-any"],
            "url": f"http://127.0.0.1:{port}/{WHEEL}",
        }
        tool = {"version": "1.0", "license": "MIT", "requires": [], "wheels": [wheel]}
        (self.folder / "members.lock.json").write_text(json.dumps({"distributions": {"tool": tool}}))


@pytest.fixture(scope="module")
def downstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Downstream]:
    """One workspace for all tests, since another one would need another Bazel server."""
    folder = tmp_path_factory.mktemp("downstream")
    found = Downstream(folder / "workspace", folder / "bazel", folder / "files")
    found.folder.mkdir()
    found.files.mkdir()
    (found.folder / "MODULE.bazel").write_text(MODULE + PYPI)
    (found.folder / "BUILD.bazel").write_text("")
    with zipfile.ZipFile(found.files / WHEEL, "w") as wheel:
        wheel.writestr("tool.py", "")
    yield found
    found.bazel("shutdown")


@pytest.mark.parametrize("setting", NETRC_SETTINGS)
def test_login_by_netrc(downstream: Downstream, tmp_path: Path, setting: str) -> None:
    """A server that asks for a login gets it from the file that NETRC names, or from the user's."""
    netrc = tmp_path / ".netrc"
    setting = setting.format(home=tmp_path)
    with members_only(downstream.files) as port:
        downstream.write_lock(port)
        netrc.write_text(f"machine elsewhere {LOGIN}\n")
        status, said = downstream.build(setting, "@members//:tool")
        assert status != 0
        assert "401" in said, said
        netrc.write_text(f"machine 127.0.0.1 {LOGIN}\n")
        status, said = downstream.build(setting, "@members//:tool")
    assert status == 0, said
