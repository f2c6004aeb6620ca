"""Unpacking is what tar and dpkg-deb make of a package's files."""

import io
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.unpack import OwnedDirectory, link_merged_usr, unpack
from tools.testing.debian_packages import build_deb, replace_data
from tools.testing.oracles import oracle


def listing(folder: Path) -> dict[str, tuple[int, bytes | str | None, float]]:
    """Paths with modes, contents or targets, and the times of files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (
            status.st_mode,
            content,
            status.st_mtime if stat.S_ISREG(status.st_mode) else 0,
        )
    return found


def example(folder: Path, name: str = "example") -> Path:
    root = folder / name
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/lib/däta").mkdir(parents=True)
    (root / "usr/lib/däta").chmod(0o750)
    (root / "usr/bin/tool").write_bytes(b"tool" * 1000)
    (root / "usr/bin/tool").chmod(0o4755)
    (root / "usr/bin/also").hardlink_to(root / "usr/bin/tool")
    (root / "usr/bin/link").symlink_to("../bin/tool")
    (root / "usr/lib/däta/empty").touch(0o600)
    return build_deb(folder, name, root)


def test_same_as_dpkg_deb(tmp_path: Path) -> None:
    deb = example(tmp_path)
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    ours.mkdir()
    with Deb(deb) as package:
        assert unpack([package], str(ours)) == []
    subprocess.run([oracle("dpkg-deb"), "--extract", deb, theirs], check=True)
    assert listing(ours) == listing(theirs)
    assert (ours / "usr/bin/also").samefile(ours / "usr/bin/tool")


def test_any_umask(tmp_path: Path) -> None:
    deb = example(tmp_path)
    found = []
    for umask in (0o000, 0o077):
        folder = tmp_path / f"{umask:o}"
        folder.mkdir()
        before = os.umask(umask)
        try:
            with Deb(deb) as package:
                unpack([package], str(folder))
        finally:
            os.umask(before)
        found.append(listing(folder))
    assert found[0] == found[1]


def test_merged_usr(tmp_path: Path) -> None:
    """A package that still puts files into /lib has them in /usr/lib."""
    root = tmp_path / "old"
    (root / "lib").mkdir(parents=True)
    (root / "lib/library").write_text("x")
    into = tmp_path / "into"
    into.mkdir()
    link_merged_usr(str(into))
    with Deb(build_deb(tmp_path, "old", root)) as package:
        unpack([package], str(into))
    assert os.readlink(into / "lib") == "usr/lib"
    assert (into / "usr/lib/library").read_text() == "x"


def test_later_packages_replace(tmp_path: Path) -> None:
    debs = []
    for name in ("one", "two"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc/file").write_text(name)
        debs.append(Deb(build_deb(tmp_path, name, tmp_path / name)))
    into = tmp_path / "into"
    into.mkdir()
    unpack(debs, str(into))
    assert (into / "etc/file").read_text() == "two"


def test_owners(tmp_path: Path) -> None:
    """The owners of directories are told."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, mode, gid in (("./", 0o755, 0), ("./var/", 0o755, 0), ("./var/mail/", 0o2775, 8)):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.gid = tarfile.DIRTYPE, mode, gid
            archive.addfile(entry)
    deb = build_deb(tmp_path, "example")
    replace_data(deb, "data.tar", data.getvalue())
    into = tmp_path / "into"
    into.mkdir()
    with Deb(deb) as package:
        assert unpack([package], str(into)) == [OwnedDirectory(f"{into}/var/mail", 0o2775, 0, 8)]


def test_link_in_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "one/etc/dir").mkdir(parents=True)
    (tmp_path / "two/etc").mkdir(parents=True)
    (tmp_path / "two/etc/dir").symlink_to("elsewhere")
    debs = [Deb(build_deb(tmp_path, name, tmp_path / name)) for name in ("one", "two")]
    into = tmp_path / "into"
    into.mkdir()
    with pytest.raises(UserError, match=r"two.*\.deb: \./etc/dir is a link, where another package has a directory"):
        unpack(debs, str(into))
