"""Tests proving a lock from the signed Release files beside it; apt makes the lock from a small signed archive."""

import gzip
import json
import lzma
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tools.core.errors import CheckError, UserError
from tools.debian.apt import Access, resolve
from tools.debian.archive_urls import format_time
from tools.debian.evidence import LISTS, evidence_folder, write_evidence
from tools.debian.manifest import Archive, Manifest, PackageSet
from tools.debian.package_list import read_package_list
from tools.debian.proof import prove_lock
from tools.debian.release import parse_release
from tools.debian.signature import binary_keys
from tools.testing.debian_archive import DebianArchive
from tools.testing.oracles import ask, oracle

COMMAND = "bazel run //packages:example.lock"
LISTS_PATH = "main/binary-amd64/Packages"
Edit = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianArchive]:
    oracle("apt-get")
    oracle("gpgv")
    archive = DebianArchive(tmp_path_factory.mktemp("archive"))
    (archive.folder / "keys.asc").write_text(archive.make_key("tests"))
    (archive.folder / "other.asc").write_text(archive.make_key("other"))
    for version in ("1.0", "2.0"):
        archive.add("server", {"Version": version})
        shutil.move(archive.pool / f"server_{version}_all.deb", archive.folder / f"server-{version}")
    for version in ("1.0", "2.0"):
        shutil.move(archive.folder / f"server-{version}", archive.pool / f"server_{version}_all.deb")
    archive.publish("stable")
    archive.publish("testing")
    archive.publish("apart", detached=True)
    yield archive
    archive.close()


def manifest_of(archive: DebianArchive, suite: str = "stable", package: str = "server") -> Manifest:
    described = Archive(
        mirrors=[f"file://{archive.folder}"], suites=[suite], components=["main"], keyring="keys.asc"
    )  # fmt: skip
    sets = {"base": PackageSet(packages=[package])}
    return Manifest(architectures=["amd64"], archives={"example": described}, sets=sets)


def write_lock(manifest: Manifest, archive: DebianArchive, folder: Path) -> Path:
    lock = resolve(manifest, Access(keyrings=archive.folder), folder / "apt")
    path = folder / "example.lock.json"
    path.write_text(lock.to_json())
    write_evidence(manifest, lock.releases, path, archive.folder)
    return path


def prove(manifest: Manifest, lock: Path, archive: DebianArchive, lists: Path | None = None) -> int:
    suite = manifest.archives["example"].suites[0]
    paths = [lists or archive.folder / "dists" / suite / LISTS_PATH]
    return prove_lock(manifest, lock, archive.folder, paths, COMMAND)


@pytest.mark.parametrize(
    ("suite", "files"),
    [("stable", ["example_stable.InRelease"]), ("apart", ["example_apart.Release", "example_apart.Release.gpg"])],
)
def test_proof(archive: DebianArchive, tmp_path: Path, suite: str, files: list[str]) -> None:
    manifest = manifest_of(archive, suite)
    lock = write_lock(manifest, archive, tmp_path)
    assert sorted(path.name for path in evidence_folder(lock).iterdir()) == [*files, LISTS]
    assert prove(manifest, lock, archive) == 1


def test_lists_to_download(archive: DebianArchive, tmp_path: Path) -> None:
    lock = write_lock(manifest_of(archive), archive, tmp_path)
    (listed,) = json.loads((evidence_folder(lock) / LISTS).read_text())
    content = archive.folder / "dists/stable" / LISTS_PATH
    assert listed == {
        "archive": "example",
        "suite": "stable",
        "path": LISTS_PATH,
        "sha256": ask("sha256sum", content).split()[0],
        "size": content.stat().st_size,
    }


def test_a_new_lock_removes_old_evidence(archive: DebianArchive, tmp_path: Path) -> None:
    lock = write_lock(manifest_of(archive), archive, tmp_path)
    old = evidence_folder(lock) / "gone_suite.InRelease"
    old.write_text("old")
    shutil.rmtree(tmp_path / "apt")
    write_lock(manifest_of(archive), archive, tmp_path)
    assert not old.exists()


def set_value(key: str, value: object) -> Edit:
    def edit(content: dict[str, Any]) -> None:
        content["packages"]["server_all"][key] = value

    return edit


def set_mirror(content: dict[str, Any]) -> None:
    content["archives"]["example"]["urls"] = ["https://mirror.invalid/debian"]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (set_mirror, "urls: must be those of the manifest"),
        (set_value("sha256", "0" * 64), "sha256: '0000.* is not a SHA-256"),
        (set_value("sha256", "ab" * 32), r"server 2\.0 has the sha256 abab.*, in the archive it is"),
        (set_value("path", "pool/other.deb"), r"server 2\.0 has the path pool/other\.deb"),
        (set_value("size", 7), r"server 2\.0 has the size 7"),
        (set_value("version", "0.9"), r"server 0\.9 is not in the archive example"),
    ],
)
def test_a_changed_lock(archive: DebianArchive, tmp_path: Path, edit: Edit, said: str) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    content = json.loads(lock.read_text())
    edit(content)
    lock.write_text(json.dumps(content))
    with pytest.raises(CheckError, match=f"{said}.*: {COMMAND}"):
        prove(manifest, lock, archive)


def test_an_older_package(archive: DebianArchive, tmp_path: Path) -> None:
    """The older version is in the archive, too, with its hash; a manifest may ask for it."""
    (tmp_path / "old").mkdir()
    pinned = manifest_of(archive, package="server=1.0")
    old = write_lock(pinned, archive, tmp_path / "old")
    assert prove(pinned, old, archive) == 1
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    content = json.loads(lock.read_text())
    content["packages"] = json.loads(old.read_text())["packages"]
    lock.write_text(json.dumps(content))
    with pytest.raises(CheckError, match=r"server 1\.0 is older than 2\.0 of the archives"):
        prove(manifest, lock, archive)


def test_a_changed_release_file(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    release = evidence_folder(lock) / "example_stable.InRelease"
    release.write_text(release.read_text().replace("Date: Sat, 01", "Date: Sun, 02"))
    with pytest.raises(CheckError, match=r"example_stable\.InRelease: is not signed by a key of .*keys\.asc: .*BADSIG"):
        prove(manifest, lock, archive)


def test_text_outside_of_the_signature(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    release = evidence_folder(lock) / "example_stable.InRelease"
    release.write_text("Date: Sun, 02 Feb 2025 10:00:00 UTC\n\n" + release.read_text())
    assert prove(manifest, lock, archive) == 1


def test_a_release_file_of_another_suite(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    shutil.copy(archive.folder / "dists/testing/InRelease", evidence_folder(lock) / "example_stable.InRelease")
    with pytest.raises(CheckError, match="is of another suite than stable"):
        prove(manifest, lock, archive)


def test_a_release_file_of_another_day(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    content = json.loads(lock.read_text())
    content["archives"]["example"]["released"]["stable"] = "2025-02-02T10:00:00Z"
    lock.write_text(json.dumps(content))
    with pytest.raises(CheckError, match=r"is of 2025-02-01T10:00:00Z, but the lock .* stable of 2025-02-02"):
        prove(manifest, lock, archive)


def test_another_key(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    shutil.copy(archive.folder / "other.asc", tmp_path / "keys.asc")
    paths = [archive.folder / "dists/stable" / LISTS_PATH]
    with pytest.raises(CheckError, match=r"is not signed by a key of .*NO_PUBKEY"):
        prove_lock(manifest, lock, tmp_path, paths, COMMAND)


def test_no_release_file(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    shutil.rmtree(evidence_folder(lock))
    with pytest.raises(UserError, match=r"example_stable\.InRelease: does not exist"):
        prove(manifest, lock, archive)


def test_changed_lists(archive: DebianArchive, tmp_path: Path) -> None:
    manifest = manifest_of(archive)
    lock = write_lock(manifest, archive, tmp_path)
    lists = tmp_path / "Packages"
    lists.write_text((archive.folder / "dists/stable" / LISTS_PATH).read_text() + "\n")
    with pytest.raises(CheckError, match=f"names {LISTS_PATH} with SHA-256 .*, which none of the package lists has"):
        prove(manifest, lock, archive, lists)


def test_compressed_lists(archive: DebianArchive, tmp_path: Path) -> None:
    plain = archive.folder / "dists/stable" / LISTS_PATH
    packed = tmp_path / "list"
    packed.write_bytes(lzma.compress(plain.read_bytes()))
    found = list(read_package_list(packed, {"server"}))
    assert [package.version for package in found] == ["1.0", "2.0"]
    assert found == list(read_package_list(plain, {"server"}))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(UserError, match="cannot be read as a list of packages"):
        list(read_package_list(packed, {"server"}))


@pytest.mark.parametrize(
    ("date", "found"),
    [
        ("Sat, 01 Feb 2025 10:00:00 UTC", "2025-02-01T10:00:00Z"),
        ("Sat, 01 Feb 2025 10:00:00 +0200", "2025-02-01T08:00:00Z"),
    ],
)
def test_dates(date: str, found: str) -> None:
    assert format_time(parse_release(f"Date: {date}\n", "Release").date) == found


@pytest.mark.parametrize(
    "date",
    ["today", "Sat, 01 Feb 2025 10:00:00", f"Sat, 01 Feb {'9' * 5000} 10:00:00 UTC", "1 Feb 2025 10:00 +9999999999999"],
)
def test_invalid_dates(date: str) -> None:
    with pytest.raises(UserError, match=r"^Release: has the invalid date '.{1,40}'; use another mirror$"):
        _ = parse_release(f"Date: {date}\n", "Release").date


@pytest.mark.parametrize("size", ["", "x", "-1", "9" * 5000])
def test_invalid_sizes(tmp_path: Path, size: str) -> None:
    text = f"SHA256:\n {'0' * 64} {size} main/binary-amd64/Packages\n"
    with pytest.raises(UserError, match="Release: lists no SHA-256 of main/binary-amd64/Packages"):
        parse_release(text, "Release").package_list("main", "amd64")
    fields = {"Package": "a", "Version": "1", "Architecture": "all", "Filename": "a.deb", "SHA256": "0", "Size": size}
    (tmp_path / "Packages").write_text("".join(f"{name}: {value}\n" for name, value in fields.items()))
    with pytest.raises(UserError, match=r"Packages: a has the invalid size '.{0,40}'; use another mirror$"):
        list(read_package_list(tmp_path / "Packages", {"a"}))


def test_damaged_list(tmp_path: Path) -> None:
    (tmp_path / "Packages").write_bytes(gzip.compress(b"")[:10] + b"\xff" * 50)
    with pytest.raises(UserError, match="Packages: cannot be read as a list of packages"):
        list(read_package_list(tmp_path / "Packages", {"a"}))


def test_keys(archive: DebianArchive, tmp_path: Path) -> None:
    armoured = (archive.folder / "keys.asc").read_text()
    assert binary_keys(archive.folder / "keys.asc").hex() == binary_of(archive, "tests")
    both = tmp_path / "both.asc"
    both.write_text("A comment\n" + armoured + "\n" + (archive.folder / "other.asc").read_text())
    assert binary_keys(both).hex() == binary_of(archive, "tests") + binary_of(archive, "other")
    both.write_text("no keys\n")
    with pytest.raises(UserError, match="has no ASCII-armoured public keys"):
        binary_keys(both)


def binary_of(archive: DebianArchive, name: str) -> str:
    """Returns a key as gpg exports it, in hexadecimal."""
    path = archive.folder / f"{name}.gpg"
    archive.gpg("--output", str(path), "--export", name)
    return path.read_bytes().hex()
