"""Tests the base root of the smallest locked set: it is reproducible, and matches the packages.

`bazel test` gives the packages, and the tar that the build's own action made of them.
"""

import hashlib
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.base_root import BaseRoot, build_base_root
from tools.debian.deb import Deb
from tools.testing.debian_packages import BUILT, build_deb, given_packages

EXCLUDE = ["usr/share/doc/*", "usr/share/man/*"]
INCLUDE = ["usr/share/doc/*/copyright"]


@pytest.fixture(scope="module")
def spec() -> BaseRoot:
    """The packages, and the other parameters of the action, from the BUILD file."""
    return BaseRoot(given_packages("PACKAGES"), given_packages("INSTALLER"), ["linux-initramfs-tool"], EXCLUDE, INCLUDE)


@dataclass
class Member:
    """An entry of the tar and, for a file, the MD5 of its content, as in packages."""

    info: tarfile.TarInfo
    md5: str = ""


@pytest.fixture(scope="module")
def members() -> dict[str, Member]:
    """The entries of the tar from the action, by path."""
    found = {}
    with tarfile.open(given_packages("BASE_ROOT")[0]) as archive:
        for info in archive:
            content = archive.extractfile(info) if info.isreg() else None
            md5 = hashlib.md5(content.read(), usedforsecurity=False).hexdigest() if content else ""
            found[info.name] = Member(info, md5)
    return found


@pytest.fixture
def odd_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory with the set-group-ID bit, a strict umask, another time zone, locale and language."""
    folder = tmp_path / "földer"
    folder.mkdir()
    folder.chmod(0o2775)
    for name, value in {"TZ": "Asia/Tokyo", "LC_ALL": "tr_TR.UTF-8", "HOME": "/gone", "TMPDIR": "/gone"}.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    yield folder
    os.umask(before)


def test_same_bytes(spec: BaseRoot, odd_surroundings: Path) -> None:
    output = odd_surroundings / "out.tar"
    reordered = BaseRoot(
        list(reversed(spec.debs)), list(reversed(spec.installer)), spec.provided, spec.exclude, spec.include
    )
    build_base_root(reordered, output)
    assert os.listdir(odd_surroundings) == ["out.tar"]
    with output.open("rb") as ours, given_packages("BASE_ROOT")[0].open("rb") as theirs:
        assert hashlib.file_digest(ours, "sha256").digest() == hashlib.file_digest(theirs, "sha256").digest()


@pytest.mark.parametrize("memory", [1 << 20, 64 << 20])
def test_memory_that_is_not_enough(
    spec: BaseRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int
) -> None:
    """The files of the first packages, or those of all, need more than the file system in memory has."""
    monkeypatch.setattr("tools.debian.base_root._memory", lambda _: memory)
    build_base_root(spec, tmp_path / "out.tar")
    assert os.listdir(tmp_path) == ["out.tar"]
    with (tmp_path / "out.tar").open("rb") as ours, given_packages("BASE_ROOT")[0].open("rb") as theirs:
        assert hashlib.file_digest(ours, "sha256").digest() == hashlib.file_digest(theirs, "sha256").digest()


def test_files_are_those_of_the_packages(members: dict[str, Member]) -> None:
    """Compares files with the checksums in dpkg's database."""
    with tarfile.open(given_packages("BASE_ROOT")[0]) as archive:
        lists = [m for m in archive if m.name.startswith("./var/lib/dpkg/info/") and m.name.endswith(".md5sums")]
        sums = "".join(f.read().decode() for m in lists if (f := archive.extractfile(m)))
    checked = 0
    for line in sums.splitlines():
        md5, _, path = line.partition("  ")
        left_out = path.startswith(("usr/share/doc/", "usr/share/man/")) and not path.endswith("/copyright")
        assert (f"./{path}" not in members) == left_out, path
        if not left_out and not members[f"./{path}"].info.islnk():
            assert members[f"./{path}"].md5 == md5, path
            checked += 1
    assert checked > 1000


def test_all_packages_are_installed(spec: BaseRoot) -> None:
    with tarfile.open(given_packages("BASE_ROOT")[0]) as archive:
        status = archive.extractfile("./var/lib/dpkg/status")
        assert status is not None
        lines = status.read().decode().splitlines()
    names = [line.removeprefix("Package: ") for line in lines if line.startswith("Package: ")]
    wanted = []
    for path in spec.debs:
        with Deb(path) as deb:
            wanted.append(deb.control()["Package"])
    assert sorted(names) == sorted([*wanted, "image-provided"])
    assert lines.count("Status: install ok installed") == len(names)
    assert "Provides: linux-initramfs-tool" in lines


def test_maintainer_scripts_ran(members: dict[str, Member]) -> None:
    assert members["./etc/passwd"].info.isreg()
    assert members["./etc/alternatives/awk"].info.linkname == "/usr/bin/mawk"
    assert members["./etc/pam.d/common-auth"].info.isreg()


def test_metadata(members: dict[str, Member], spec: BaseRoot) -> None:
    found = {name: (m.info.mode, m.info.uid, m.info.gid) for name, m in members.items()}
    assert found["."] == (0o755, 0, 0)
    assert found["./var/mail"] == (0o2775, 0, 8)
    assert found["./usr/sbin/unix_chkpwd"] == (0o2755, 0, 42)
    assert found["./tmp"] == (0o1777, 0, 0)
    assert found["./usr/bin/su"] == (0o4755, 0, 0)
    assert {m.info.linkname for name, m in members.items() if name in {"./bin", "./lib"}} == {"usr/bin", "usr/lib"}
    newest = 0
    for path in spec.debs:
        with Deb(path) as deb:
            newest = max(newest, deb.built)
    assert max(m.info.mtime for m in members.values()) == newest
    assert all(m.info.mtime == int(m.info.mtime) for m in members.values())


def test_nothing_of_the_build(members: dict[str, Member]) -> None:
    folders = ("./dev/", "./proc/", "./run/", "./tmp/", "./.base-root")
    assert [name for name in members if name.startswith(folders)] == []
    assert [name for name, m in members.items() if m.info.ischr() or m.info.isblk()] == []
    names = {"./etc/hostname", "./etc/passwd-", "./usr/sbin/policy-rc.d", "./var/log/dpkg.log", "./var/lib/dpkg/lock"}
    assert names & members.keys() == set()
    assert {key for m in members.values() for key in m.info.pax_headers} <= {"path", "linkpath"}


def test_failing_script(spec: BaseRoot, tmp_path: Path) -> None:
    """The end of dpkg's output is in the message, and no output file remains."""
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    script = root / "DEBIAN/postinst"
    script.write_text("#!/bin/sh\necho no such luck >&2\nexit 7\n")
    script.chmod(0o755)
    broken = build_deb(tmp_path, "broken", root)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(UserError, match=r"(?s)dpkg failed with status 1.*no such luck.*broken"):
        build_base_root(BaseRoot([*spec.debs, broken], spec.installer), folder / "out.tar")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("memory", [0, 1 << 40])
def test_excluded_modules(spec: BaseRoot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int) -> None:
    """They are not unpacked, so that depmod doesn't read them; their folders are as if they were removed."""
    root = tmp_path / "root"
    for name in ("a.ko", "core/b.ko", "core/c.ko"):
        for folder in ("usr/lib/modules/1/sound", "lib/modules/1/net"):
            (root / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (root / folder / name).touch()
    (root / "DEBIAN").mkdir()
    script = root / "DEBIAN/postinst"
    script.write_text("#!/bin/sh\nfind /usr/lib/modules -type f | LC_ALL=C sort >/unpacked\n")
    script.chmod(0o755)
    modules = build_deb(tmp_path, "modules", root)
    exclude = ["usr/lib/modules/*/sound/*", "usr/lib/modules/*/net/*"]
    monkeypatch.setattr("tools.debian.base_root.available_memory", lambda: memory)
    changed = BaseRoot([*spec.debs, modules], spec.installer, exclude=exclude, include=["*/core/b.ko"])
    output = tmp_path / "out.tar"
    build_base_root(changed, output)
    with tarfile.open(output) as archive:
        unpacked, listed = (archive.extractfile(f"./{name}") for name in ("unpacked", "var/lib/dpkg/info/modules.list"))
        assert unpacked is not None
        assert listed is not None
        kept = [f"/usr/lib/modules/1/{folder}/core/b.ko" for folder in ("net", "sound")]
        assert unpacked.read().decode().splitlines() == kept
        assert b"/sound/core/c.ko\n" in listed.read()
        assert {f"/{name[2:]}" for name in archive.getnames() if name.endswith(".ko")} == set(kept)
        assert archive.getmember("./usr/lib/modules/1/sound").mtime == archive.getmember("./unpacked").mtime


def test_excluded_documentation(spec: BaseRoot, tmp_path: Path) -> None:
    """It is not unpacked; a folder without it has the time as if it had been removed."""
    root = tmp_path / "root"
    for name in ("doc/all/copyright", "doc/some/copyright", "doc/some/readme", "locale/xx/some.7", "data/readme"):
        (root / "usr/share" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "usr/share" / name).touch()
    (root / "usr/share/doc/link").symlink_to("some")
    (root / "usr/share/nothing").mkdir()
    (root / "usr/lib").mkdir()
    (root / "usr/lib/readme").touch()
    for path in (root, *root.rglob("*")):
        os.utime(path, (BUILT, BUILT), follow_symlinks=False)
    script = root / "DEBIAN/postinst"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nfind /usr/share /usr/lib -name 'readme*' -o -name some.7 | sort >/unpacked\n")
    script.chmod(0o755)
    documented = build_deb(tmp_path, "documented", root)
    exclude = ["usr/share/doc/*", "usr/share/locale/xx/*", "usr/share/data/*", "usr/lib/readme"]
    spec = BaseRoot([*spec.debs, documented], spec.installer, exclude=exclude, include=["usr/share/doc/*/copyright"])
    output = tmp_path / "out.tar"
    build_base_root(spec, output)
    with tarfile.open(output) as archive:
        found = {member.name.removeprefix("./"): member.mtime for member in archive}
        unpacked = archive.extractfile("./unpacked")
        assert unpacked is not None
        assert unpacked.read().split() == [b"/usr/lib/readme", b"/usr/share/data/readme"]
    newest = found["unpacked"]
    folders = ("data", "doc/all", "doc/some", "locale/xx", "nothing")
    assert [found[f"usr/share/{name}"] for name in folders] == [newest, newest, newest, newest, BUILT]
    own = ("usr/share/doc/all/", "usr/share/doc/some/", "usr/share/doc/link", "usr/share/locale/xx/", "usr/share/data/")
    left = {name for name in found if name.startswith(own) or name.endswith("/readme")}
    assert left == {"usr/share/doc/all/copyright", "usr/share/doc/some/copyright"}


def test_damaged_package(spec: BaseRoot, tmp_path: Path) -> None:
    """Its own path is in the message, not that of the copy for dpkg."""
    shell = next(path for path in spec.debs if path.name.startswith("dash_"))
    damaged = tmp_path / shell.name
    content = bytearray(shell.read_bytes())
    content[-1000] ^= 1
    damaged.write_bytes(content)
    debs = [damaged if path == shell else path for path in spec.debs]
    with pytest.raises(UserError, match=rf"{re.escape(str(damaged))}: data.*is damaged"):
        build_base_root(BaseRoot(debs, spec.installer), tmp_path / "out.tar")
    assert os.listdir(tmp_path) == [shell.name]


def test_refused_before_any_work(spec: BaseRoot, tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    shell = [path for path in spec.debs if path.name.startswith("dash_")]
    with pytest.raises(UserError, match=r"has no dpkg; set `essential = true`"):
        build_base_root(BaseRoot(shell, spec.installer), output)
    with pytest.raises(UserError, match=r"dash_.*: is the package dash, like .*dash_"):
        build_base_root(BaseRoot([*spec.debs, *shell], spec.installer), output)
    assert os.listdir(tmp_path) == []


def test_wrong_installer(spec: BaseRoot, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="must be fakeroot, libfakeroot and libeatmydata1"):
        build_base_root(BaseRoot(spec.debs, spec.installer[:1]), tmp_path / "out.tar")
    assert os.listdir(tmp_path) == []
