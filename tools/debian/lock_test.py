"""Lock files: their bytes, and whether they belong to a manifest."""

import dataclasses
import json
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.lock import Lock, LockedArchive, LockedPackage, check_lock, locked_versions
from tools.debian.manifest import Archive, Manifest, PackageSet

COMMAND = "bazel run //packages:example.lock"
MANIFEST = Manifest(
    architectures=["amd64"],
    archives={"debian": Archive(mirrors=["http://m.example/d"], suites=["s"], components=["main"], keyring="k.asc")},
    sets={"base": PackageSet(packages=["a", "b"], provided=["p"]), "other": PackageSet(packages=["b"])},
)
ARCHIVE = LockedArchive(
    urls=["http://m.example/d"], released={"t": "2025-01-02T00:00:00Z", "s": "2025-01-01T00:00:00Z"}
)


def package(name: str, version: str = "1:2.0-1") -> LockedPackage:
    return LockedPackage(
        name=name,
        version=version,
        architecture="all",
        archive="debian",
        path=f"pool/{name}.deb",
        sha256="00" * 32,
        size=7,
    )


def lock(base: list[LockedPackage], other: list[LockedPackage]) -> Lock:
    return Lock(MANIFEST, {"debian": ARCHIVE}, {"base": {"amd64": base}, "other": {"amd64": other}})


def test_content() -> None:
    content = json.loads(lock([package("a"), package("b")], [package("b")]).to_json())
    assert content["manifest"] == MANIFEST.digest()
    assert content["sets"]["base"] == {"provided": ["p"], "packages": {"amd64": ["a_all", "b_all"]}}
    assert content["packages"]["a_all"] == {
        "name": "a",
        "version": "1:2.0-1",
        "architecture": "all",
        "archive": "debian",
        "path": "pool/a.deb",
        "sha256": "00" * 32,
        "size": 7,
    }
    assert list(content["archives"]["debian"]["released"]) == ["s", "t"]


def test_order_does_not_matter() -> None:
    first = lock([package("a"), package("b")], [package("b")]).to_json()
    assert lock([package("b"), package("a")], [package("b")]).to_json() == first


def test_two_versions() -> None:
    with pytest.raises(UserError, match=r"sets\.other: has version 3 of b_all, another set has 1:2\.0-1"):
        lock([package("a"), package("b")], [package("b", "3")]).to_json()


def write(folder: Path, text: str) -> Path:
    path = folder / "example.lock.json"
    path.write_text(text)
    return path


def test_in_step(tmp_path: Path) -> None:
    check_lock(MANIFEST, write(tmp_path, lock([package("a")], [package("b")]).to_json()), COMMAND)


def test_out_of_step(tmp_path: Path) -> None:
    path = write(tmp_path, lock([package("a")], [package("b")]).to_json())
    changed = dataclasses.replace(MANIFEST, architectures=["arm64"])
    with pytest.raises(UserError, match=f"out of step with its manifest.*: {COMMAND}"):
        check_lock(changed, path, COMMAND)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "isn't valid JSON"),
        ("[]", "isn't a lock of format 1"),
        ('{"format": 2}', "isn't a lock of format 1"),
        ('{"format": 1}', "is out of step"),
    ],
)
def test_not_a_lock(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{said}.*{COMMAND}"):
        check_lock(MANIFEST, write(tmp_path, text), COMMAND)


def test_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot be read: No such file.*; make it: {COMMAND}"):
        check_lock(MANIFEST, tmp_path / "gone.lock.json", COMMAND)


def test_versions_are_read_back(tmp_path: Path) -> None:
    made = lock([package("a"), package("b", "3")], [package("b", "3")])
    path = tmp_path / "lock.json"
    assert locked_versions(path) == {}
    path.write_text(made.to_json())
    assert made.versions() == locked_versions(path) == {"a_all": "1:2.0-1", "b_all": "3"}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"packages": 1}', '{"packages": {"a": 1}}'])
def test_versions_of_what_is_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.json").write_text(text)
    assert locked_versions(tmp_path / "lock.json") == {}
