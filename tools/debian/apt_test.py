"""Tests resolving manifests with apt, from a small archive signed with a temporary key."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.apt import Access, resolve
from tools.debian.lock import Lock, LockedPackage
from tools.debian.manifest import Archive, Manifest, PackageSet
from tools.testing.debian_archive import DebianArchive
from tools.testing.oracles import oracle

PACKAGES = {
    "base-files": {"Essential": "yes", "Pre-Depends": "shell"},
    "shell": {"Version": "1:5.2~rc1+b1-2"},
    "libc++1": {},
    "server": {"Depends": "libc++1 (>= 1), mailer | mail-transport-agent", "Recommends": "docs"},
    "mailer": {"Provides": "mail-transport-agent"},
    "docs": {},
    "broken": {"Depends": "nowhere"},
}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianArchive]:
    oracle("apt-get")
    archive = DebianArchive(tmp_path_factory.mktemp("archive"))
    keyring = archive.make_key("tests")
    (archive.folder / "keys.asc").write_text(keyring)
    (archive.folder / "other.asc").write_text(archive.make_key("other"))
    for name, fields in PACKAGES.items():
        archive.add(name, fields)
    archive.publish("stable")
    yield archive
    archive.close()


def manifest(
    archive: DebianArchive, *, keyring: str = "keys.asc", suite: str = "stable", **sets: PackageSet
) -> Manifest:
    described = Archive(
        mirrors=[f"file://{archive.folder}", "https://mirror.example/debian"],
        snapshots="https://snapshot.example/debian/{time}",
        suites=[suite],
        components=["main"],
        keyring=keyring,
    )
    return Manifest(architectures=["amd64"], archives={"example": described}, sets=sets)


def lock(archive: DebianArchive, wanted: Manifest, scratch: Path, access: Access | None = None) -> Lock:
    return resolve(wanted, access or Access(keyrings=archive.folder), scratch / "apt")


def names(lock: Lock, name: str) -> list[str]:
    return sorted(package.name for package in lock.sets[name]["amd64"])


def test_sets(archive: DebianArchive, tmp_path: Path) -> None:
    found = lock(
        archive,
        manifest(
            archive,
            alone=PackageSet(packages=["server"], dependencies=False),
            base=PackageSet(packages=["libc++1"], essential=True),
            closed=PackageSet(packages=["server"]),
            provided=PackageSet(packages=["server"], provided=["mail-transport-agent"]),
            versioned=PackageSet(packages=["shell=1:5.2~rc1+b1-2"]),
        ),
        tmp_path,
    )
    assert names(found, "alone") == ["server"]
    assert names(found, "base") == ["base-files", "libc++1", "shell"]
    assert names(found, "closed") == ["libc++1", "mailer", "server"]
    assert names(found, "provided") == ["libc++1", "server"]
    assert names(found, "versioned") == ["shell"]


def test_packages(archive: DebianArchive, tmp_path: Path) -> None:
    found = lock(archive, manifest(archive, base=PackageSet(packages=["shell", "libc++1"])), tmp_path)
    for package in found.sets["base"]["amd64"]:
        content = (archive.folder / package.path).read_bytes()
        assert package == LockedPackage(
            name=package.name,
            version=PACKAGES[package.name].get("Version", "1.0"),
            architecture="all",
            archive="example",
            path=f"pool/{package.name}_{package.version}_all.deb",
            sha256=hashlib.sha256(content).hexdigest(),
            size=len(content),
        )


def test_archives(archive: DebianArchive, tmp_path: Path) -> None:
    found = lock(archive, manifest(archive, base=PackageSet(packages=["shell"])), tmp_path)
    assert found.archives["example"].released == {"stable": "2025-02-01T10:00:00Z"}
    assert found.archives["example"].urls == [
        f"file://{archive.folder}",
        "https://mirror.example/debian",
        "https://snapshot.example/debian/20250202T100000Z",
    ]


def test_an_archive_without_inrelease(archive: DebianArchive, tmp_path: Path) -> None:
    archive.publish("detached", detached=True)
    found = lock(archive, manifest(archive, suite="detached", base=PackageSet(packages=["shell"])), tmp_path)
    assert found.archives["example"].released == {"detached": "2025-02-01T10:00:00Z"}
    assert names(found, "base") == ["shell"]


@pytest.mark.parametrize("digest", ["MD5sum", "SHA512"])
def test_lists_without_sha256(archive: DebianArchive, tmp_path: Path, digest: str) -> None:
    suite = digest.lower()
    archive.publish(suite, digest=digest)
    with pytest.raises(UserError, match=r"^sets\.base: the archive has no SHA-256 of shell_.*; use a mirror"):
        lock(archive, manifest(archive, suite=suite, base=PackageSet(packages=["shell"])), tmp_path)


def test_another_mirror(archive: DebianArchive, tmp_path: Path) -> None:
    """The lock has the mirrors of the manifest, independently of `Access.mirrors`."""
    wanted = manifest(archive, base=PackageSet(packages=["shell"]))
    mirrors = ["https://mirror.invalid/debian"]
    described = dataclasses.replace(wanted.archives["example"], mirrors=mirrors)
    wanted = dataclasses.replace(wanted, archives={"example": described})
    access = Access(keyrings=archive.folder, mirrors={"example": f"file://{archive.folder}"})
    found = lock(archive, wanted, tmp_path, access)
    assert found.archives["example"].urls[:-1] == mirrors
    assert found.sets["base"]["amd64"][0].path == "pool/shell_1:5.2~rc1+b1-2_all.deb"


def test_same_bytes_each_time(archive: DebianArchive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result doesn't depend on the user's environment."""
    wanted = manifest(archive, base=PackageSet(packages=["server"], essential=True))
    first = lock(archive, wanted, tmp_path / "1").to_json()
    (tmp_path / "apt.conf").write_text('APT::Install-Recommends "true"; APT::Architecture "s390x";\n')
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        second = lock(archive, wanted, tmp_path / "2").to_json()
    finally:
        os.umask(before)
    assert json.loads(second) == json.loads(first)
    assert second == first


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["absent"], "sets.base: apt-get install failed: Unable to locate package absent"),
        (["shel"], "Unable to locate package shel; did you mean shell?"),
        (["shell=9"], "sets.base: apt-get install failed: Version '9' for 'shell' was not found"),
        (["broken"], "sets.base: apt-get install failed: "),
    ],
)
def test_cannot_resolve(archive: DebianArchive, tmp_path: Path, wanted: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        lock(archive, manifest(archive, base=PackageSet(packages=wanted)), tmp_path)
    assert said in str(error.value)


def test_wrong_key(archive: DebianArchive, tmp_path: Path) -> None:
    base = PackageSet(packages=["shell"])
    with pytest.raises(UserError, match=r"apt-get update failed: .*is not signed"):
        lock(archive, manifest(archive, keyring="other.asc", base=base), tmp_path)


def test_no_key(archive: DebianArchive, tmp_path: Path) -> None:
    base = PackageSet(packages=["shell"])
    with pytest.raises(UserError, match=r"archives\.example\.keyring: .*gone\.asc: No such file"):
        lock(archive, manifest(archive, keyring="gone.asc", base=base), tmp_path)


def test_changed_lists(archive: DebianArchive, tmp_path: Path) -> None:
    archive.publish("changed")
    lists = archive.folder / "dists/changed/main/binary-amd64/Packages"
    lists.write_bytes(lists.read_bytes().replace(b"Version: 1.0", b"Version: 9.0"))
    with pytest.raises(UserError, match=r"apt-get update failed: "):
        lock(archive, manifest(archive, suite="changed", base=PackageSet(packages=["docs"])), tmp_path)


def test_outdated_lists(archive: DebianArchive, tmp_path: Path) -> None:
    archive.publish("outdated", extra="Valid-Until: Sat, 08 Feb 2025 10:00:00 UTC\n")
    wanted = manifest(archive, suite="outdated", base=PackageSet(packages=["docs"]))
    with pytest.raises(UserError, match=r"apt-get update failed: .*expired"):
        lock(archive, wanted, tmp_path / "1")
    found = lock(archive, wanted, tmp_path / "2", Access(keyrings=archive.folder, check_valid_until=False))
    assert names(found, "base") == ["docs"]
