"""What is taken from packages without installing them; GNU tar and dpkg-deb judge."""

import os
import subprocess
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.extract import choose, write_data, write_file
from tools.testing.debian_packages import build_deb
from tools.testing.oracles import ask, oracle


@pytest.fixture
def debs(tmp_path: Path) -> list[Path]:
    """Two packages: a boot loader and a kernel."""
    shim, kernel = tmp_path / "shim", tmp_path / "kernel"
    (shim / "usr/lib/shim").mkdir(parents=True)
    (shim / "usr/lib/shim/shimx64.efi").write_bytes(os.urandom(3000))
    (shim / "usr/lib/shim/same.efi").hardlink_to(shim / "usr/lib/shim/shimx64.efi")
    (shim / "usr/share/doc/shim").mkdir(parents=True)
    (shim / "usr/share/doc/shim/copyright").write_text("free")
    (kernel / "boot").mkdir(parents=True)
    (kernel / "boot/vmlinuz-6.12").write_bytes(b"kernel")
    (kernel / "usr/lib/modules/6.12").mkdir(parents=True)
    (kernel / "usr/lib/modules/6.12/build").symlink_to("/usr/src")
    return [build_deb(tmp_path, "shim-signed", shim), build_deb(tmp_path, "linux-image-6.12", kernel)]


def tar_listing(path: Path) -> list[str]:
    return ask("tar", "--list", "--verbose", "--numeric-owner", "--full-time", "--file", path).splitlines()


def deb_listing(path: Path, folder: Path) -> list[str]:
    data = folder / "data.tar"
    data.write_bytes(
        subprocess.run([oracle("dpkg-deb"), "--fsys-tarfile", path], check=True, capture_output=True).stdout
    )
    return tar_listing(data)


def paths(path: Path) -> list[str]:
    return ask("tar", "--list", "--file", path).splitlines()


def test_all_of_one(debs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    write_data([Deb(debs[0])], [], output)
    assert tar_listing(output) == deb_listing(debs[0], tmp_path)


def test_merges(debs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    write_data(choose(debs, []), [], output)
    found = paths(output)
    assert len(found) == len(set(found))
    assert {"./boot/vmlinuz-6.12", "./usr/lib/shim/shimx64.efi", "./usr/lib/modules/6.12/build"} < set(found)


def test_paths_with_the_directories_above(debs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    write_data(choose(debs, []), ["boot/vmlinuz-*", "usr/lib/shim/*"], output)
    assert paths(output) == [
        "./",
        "./boot/",
        "./boot/vmlinuz-6.12",
        "./usr/",
        "./usr/lib/",
        "./usr/lib/shim/",
        "./usr/lib/shim/same.efi",
        "./usr/lib/shim/shimx64.efi",
    ]


def test_no_match(debs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "out.tar"
    with pytest.raises(UserError, match=r"shim-signed.*: no path matches 'usr/lib/grub/\*'"):
        write_data([Deb(debs[0])], ["usr/lib/shim/*", "usr/lib/grub/*"], output)
    assert not output.exists()


def test_hard_link_alone(debs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a hard link to \./usr/lib/shim/same\.efi, which isn't taken"):
        write_data([Deb(debs[0])], ["*/shimx64.efi"], tmp_path / "out.tar")


def test_same_file_twice(tmp_path: Path) -> None:
    packages = []
    for name in ("one", "two"):
        (tmp_path / name / "etc").mkdir(parents=True)
        (tmp_path / name / "etc/file").touch()
        packages.append(build_deb(tmp_path, name, tmp_path / name))
    with pytest.raises(UserError, match=r"two_1\.0_all\.deb: has /etc/file, which .*one_1\.0_all\.deb has too"):
        write_data(choose(packages, []), [], tmp_path / "out.tar")


def test_choose(debs: list[Path]) -> None:
    assert [deb.path for deb in choose(debs, [])] == [str(debs[1]), str(debs[0])]
    assert [deb.path for deb in choose(debs, ["linux-image-[0-9]*"])] == [str(debs[1])]
    with pytest.raises(UserError, match=r"no package is called 'grub'; there are linux-image-6\.12, shim-signed"):
        choose(debs, ["shim-*", "grub"])


def test_one_file(debs: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "vmlinuz"
    write_file(choose(debs, []), "boot/vmlinuz-*", output)
    assert output.read_bytes() == b"kernel"


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("boot/vmlinux", "no path matches 'boot/vmlinux'"),
        ("*[6.]*", "must match one file, and matches boot/vmlinuz-6.12, usr/lib/shim/same.efi"),
        ("*/build", "no path matches"),  # a link
    ],
)
def test_not_one_file(debs: list[Path], tmp_path: Path, pattern: str, said: str) -> None:
    output = tmp_path / "file"
    with pytest.raises(UserError) as error:
        write_file(choose(debs, []), pattern, output)
    assert said in str(error.value)
    assert not output.exists()
