"""Tests the content of lock files, and the check against a manifest."""

import dataclasses
import json
from pathlib import Path

import pytest

from tools.core.errors import CheckError, UserError
from tools.debian.lock import Lock, LockedArchive, LockedPackage, check_lock, check_not_older, locked_versions
from tools.debian.manifest import Archive, Manifest, PackageSet

COMMAND = "bazel run //packages:example.lock"
MANIFEST = Manifest(
    architectures=["amd64"],
    archives={
        "debian": Archive(mirrors=["http://m.example/d"], suites=["s", "t"], components=["main"], keyring="k.asc")
    },
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
        sha256="ab" * 32,
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
        "sha256": "ab" * 32,
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


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("archives", "debian", "urls"), ["http://other.example/d"], r"archives\.debian\.urls: must be those of"),
        (("archives", "debian", "released"), {"s": "2025-01-01T00:00:00Z"}, r"released: must have the suites s, t"),
        (("archives", "other"), {}, "archives: must be debian"),
        (("packages", "a_all", "sha256"), "0" * 64, r"packages\.a_all\.sha256: '000"),
        (("packages", "a_all", "sha256"), "ab", "is not a SHA-256"),
        (("packages", "a_all", "size"), 0, r"packages\.a_all\.size: 0 is not"),
        (("packages", "a_all", "name"), "b", r"packages\.a_all: is the package b"),
        (("packages", "a_all", "archive"), "other", "'other' is not an archive"),
        (("packages", "a_all", "path"), "../a.deb", r"path: '\.\./a\.deb' is not"),
        (("packages", "a_all", "path"), None, "must have non-empty strings"),
        (("packages", "c_all"), None, "a value is missing or has the wrong type"),
        (("sets", "third"), {}, "sets: must be base, other"),
        (("sets", "base", "provided"), [], r"sets\.base\.provided: must be"),
        (("sets", "base", "packages", "arm64"), [], "must have the architectures amd64"),
        (("sets", "base", "packages", "amd64"), ["gone_all"], "gone_all is not in packages"),
        (("sets", "base", "packages", "amd64"), [], r"packages\.a_all: is in no set"),
    ],
)
def test_changed_by_hand(tmp_path: Path, keys: tuple[str, ...], value: object, said: str) -> None:
    content = json.loads(lock([package("a")], [package("b")]).to_json())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    with pytest.raises(CheckError, match=f"{said}.*; update it: {COMMAND}"):
        check_lock(MANIFEST, write(tmp_path, json.dumps(content)), COMMAND)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (PackageSet(packages=["b=2"]), "must have b 2, not 1:2.0-1"),
        (PackageSet(packages=["a"], dependencies=False), "a is missing"),
    ],
)
def test_a_set_without_what_the_manifest_names(tmp_path: Path, wanted: PackageSet, said: str) -> None:
    changed = dataclasses.replace(MANIFEST, sets=MANIFEST.sets | {"other": wanted})
    made = Lock(changed, {"debian": ARCHIVE}, {"base": {"amd64": [package("a")]}, "other": {"amd64": [package("b")]}})
    with pytest.raises(CheckError, match=rf"sets\.other\.packages\.amd64: {said}"):
        check_lock(changed, write(tmp_path, made.to_json()), COMMAND)


def test_out_of_step(tmp_path: Path) -> None:
    path = write(tmp_path, lock([package("a")], [package("b")]).to_json())
    changed = dataclasses.replace(MANIFEST, architectures=["arm64"])
    with pytest.raises(UserError, match=f"is outdated: its manifest.*: {COMMAND}"):
        check_lock(changed, path, COMMAND)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "lock.json:1: is not JSON"),
        ("[" * 200_000, "lock.json:1: has more than 100 objects and lists within each other"),
        ("[]", "isn't a lock of format 1"),
        ('{"format": 2}', "isn't a lock of format 1"),
        ('{"format": 1}', "is outdated"),
    ],
)
def test_not_a_lock(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UserError, match=f"{said}.*{COMMAND}"):
        check_lock(MANIFEST, write(tmp_path, text), COMMAND)


def test_no_lock(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"cannot be read: No such file.*; create it: {COMMAND}"):
        check_lock(MANIFEST, tmp_path / "gone.lock.json", COMMAND)


def test_versions_are_read_back(tmp_path: Path) -> None:
    made = lock([package("a"), package("b", "3")], [package("b", "3")])
    path = tmp_path / "lock.json"
    assert locked_versions(path) == {}
    path.write_text(made.to_json())
    assert made.versions() == locked_versions(path) == {"a_all": "1:2.0-1", "b_all": "3"}


def test_older_archives(tmp_path: Path) -> None:
    path = write(tmp_path, lock([package("a")], [package("b")]).to_json())
    for date in ("2025-01-02T00:00:00Z", "2025-01-03T00:00:00Z"):
        newer = LockedArchive(urls=ARCHIVE.urls, released=ARCHIVE.released | {"t": date})
        check_not_older(Lock(MANIFEST, {"debian": newer}, {}), path)
    older = LockedArchive(urls=ARCHIVE.urls, released=ARCHIVE.released | {"t": "2024-12-31T23:59:59Z"})
    with pytest.raises(CheckError, match=r"was made from t of 2025-01-02T.*, but the mirror has that of 2024-12-31"):
        check_not_older(Lock(MANIFEST, {"debian": older}, {}), path)
    check_not_older(Lock(MANIFEST, {"debian": older}, {}), tmp_path / "gone")


@pytest.mark.parametrize("text", ["", "{", "[" * 200_000, "[]", "{}", '{"packages": 1}', '{"packages": {"a": 1}}'])
def test_versions_of_what_is_no_lock(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock.json").write_text(text)
    assert locked_versions(tmp_path / "lock.json") == {}
    check_not_older(lock([package("a")], [package("b")]), tmp_path / "lock.json")
