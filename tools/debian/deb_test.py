"""Compares reading packages with dpkg-deb."""

import io
import os
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.testing.debian_packages import BUILT, build_deb, replace_data
from tools.testing.oracles import oracle

DESCRIPTION = "short\n long,\n .\n more"
COMPRESSIONS = ["gzip", "none", "xz", "zstd"]

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0\n", exclude_categories=["C"]), min_size=1)
short_names = names.filter(lambda name: len(name.encode()) < 200 and name not in {".", "..", "DEBIAN"})
trees = st.dictionaries(short_names, st.binary(max_size=3000), max_size=6)


def make(folder: Path, compression: str, files: dict[str, bytes]) -> Path:
    root = folder / "root"
    root.mkdir()
    for name, content in files.items():
        (root / name).write_bytes(content)
    return build_deb(folder, "example", root, compression=compression, fields={"Description": DESCRIPTION})


def zstd_deb(folder: Path, frames: bytes) -> Path:
    """Creates a package with several zstd frames as data; dpkg-deb writes only one."""
    deb = make(folder, "none", {})
    replace_data(deb, "data.tar.zst", frames)
    return deb


@pytest.mark.parametrize("compression", COMPRESSIONS)
@settings(max_examples=12)
@given(files=trees)
def test_reads_what_dpkg_deb_reads(compression: str, files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        deb = make(Path(folder), compression, files)
        told = subprocess.run([oracle("dpkg-deb"), "--fsys-tarfile", deb], check=True, capture_output=True).stdout
        with Deb(deb) as package:
            with package.data_stream() as stream:
                assert stream.read() == told
            with package.data() as archive:
                found = {entry.name: content.read() for entry in archive if (content := archive.extractfile(entry))}
        assert found == {f"./{name}": content for name, content in files.items()}


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("size", [0, 1, 3 << 20])
def test_without_compression(tmp_path: Path, compression: str, size: int) -> None:
    """Only the compression of the files changes; dpkg-deb reads the same."""
    deb, copy = make(tmp_path, compression, {"a": b"x" * size}), tmp_path / "copy.deb"
    with Deb(deb) as package:
        package.write_uncompressed(copy)
    for option in ("--fsys-tarfile", "--ctrl-tarfile"):
        told = [subprocess.run([oracle("dpkg-deb"), option, f], check=True, capture_output=True) for f in (deb, copy)]
        assert told[0].stdout == told[1].stdout
    listed = subprocess.run([oracle("ar"), "tO", copy], check=True, capture_output=True, text=True).stdout
    assert [line.split()[0] for line in listed.splitlines()][::2] == ["debian-binary", "data.tar"]
    with Deb(copy) as package:
        assert package.built == BUILT


def test_damaged_data_without_compression(tmp_path: Path) -> None:
    deb = make(tmp_path, "xz", {"a": os.urandom(5000)})
    content = bytearray(deb.read_bytes())
    content[-1000] ^= 1
    deb.write_bytes(content)
    with Deb(deb) as package, pytest.raises(UserError, match=r"data\.tar\.xz is damaged"):
        package.write_uncompressed(tmp_path / "copy.deb")


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_control(tmp_path: Path, compression: str) -> None:
    deb = make(tmp_path, compression, {})
    with Deb(deb) as package:
        control = package.control()
        assert package.built == BUILT
    for field, value in control.items():
        told = subprocess.run([oracle("dpkg-deb"), "--field", deb, field], check=True, capture_output=True).stdout
        assert told.decode() == value + "\n"
    assert control["Description"] == DESCRIPTION


def test_names_of_fields_have_any_case(tmp_path: Path) -> None:
    deb = deb_with_control(tmp_path, b"package: x\nVERSION: 1\narchitecture: all\npre-depends: dpkg\n")
    with Deb(deb) as package:
        assert package.control() == {"Package": "x", "Version": "1", "Architecture": "all", "Pre-Depends": "dpkg"}
    told = subprocess.run([oracle("dpkg-deb"), "--field", deb, "Pre-Depends"], check=True, capture_output=True).stdout
    assert told == b"dpkg\n"


@pytest.mark.parametrize("missing", ["Package", "Version", "Architecture"])
def test_a_control_file_without_a_required_field(tmp_path: Path, missing: str) -> None:
    fields = {"Package": "x", "Version": "1", "Architecture": "all"}
    text = "".join(f"{name}: {value}\n" for name, value in fields.items() if name != missing)
    deb = deb_with_control(tmp_path, text.encode())
    with (
        pytest.raises(UserError, match=rf"x\.deb: its control file has no field {missing}; rebuild"),
        Deb(deb) as package,
    ):
        package.control()


def deb_with_control(folder: Path, control: bytes) -> Path:
    """Creates a package with this control file, which dpkg-deb would change or refuse."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as archive:
        entry = tarfile.TarInfo("./control")
        entry.size = len(control)
        archive.addfile(entry, io.BytesIO(control))
    path = folder / "x.deb"
    members = {"debian-binary": b"2.0\n", "control.tar": tar.getvalue(), "data.tar": bytes(10240)}
    with path.open("wb") as file:
        file.write(b"!<arch>\n")
        for name, data in members.items():
            file.write(f"{name:16}{BUILT:<12}{0:<6}{0:<6}{'100644':8}{len(data):<10}`\n".encode())
            file.write(data + b"\n" * (len(data) % 2))
    return path


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_cut_short(tmp_path: Path, compression: str) -> None:
    deb = make(tmp_path, compression, {"file": os.urandom(5000)})
    content = deb.read_bytes()
    for length in (0, 7, 30, 70, 200, len(content) // 2, len(content) - 2):  # the last byte may be padding
        deb.write_bytes(content[:length])
        with pytest.raises(UserError, match=deb.name), Deb(deb) as package, package.data_stream() as stream:
            stream.read()


@pytest.mark.parametrize("compression", [c for c in COMPRESSIONS if c != "none"])
def test_damaged(tmp_path: Path, compression: str) -> None:
    deb = make(tmp_path, compression, {"file": bytes(50000)})
    content = bytearray(deb.read_bytes())
    content[-25] ^= 0xFF
    deb.write_bytes(content)
    with pytest.raises(UserError, match=r"data\.tar\.\w+ is damaged"), Deb(deb) as package, package.data() as archive:
        archive.getmembers()


@pytest.mark.parametrize("records", [{"GNU.sparse.map": "0,#"}, {"GNU.sparse.size": "x", "GNU.sparse.map": "0,1"}])
def test_numbers_of_extended_headers_that_are_none(tmp_path: Path, records: dict[str, str]) -> None:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("x")
        entry.pax_headers = records
        archive.addfile(entry)
    deb = deb_with_control(tmp_path, b"Package: x\n")
    deb.write_bytes(deb.read_bytes()[:-10240] + tar.getvalue())
    with pytest.raises(UserError, match=r"data\.tar is damaged"), Deb(deb) as package, package.data() as archive:
        archive.getmembers()


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_a_member_that_is_larger_than_its_archive(tmp_path: Path, form: Literal[1, 2]) -> None:
    entry = tarfile.TarInfo("x")
    entry.size = 2**63 - 1
    deb = deb_with_control(tmp_path, b"Package: x\n")
    header = entry.tobuf(form)
    deb.write_bytes(deb.read_bytes()[:-10240] + header + bytes(10240 - len(header)))
    with pytest.raises(UserError, match=r"data\.tar is damaged"), Deb(deb) as package, package.data() as archive:
        archive.getmembers()


def test_several_zstd_frames(tmp_path: Path) -> None:
    frames = [zstandard.compress(data) for data in (b"one", b"", b"two" * 1000)]
    with Deb(zstd_deb(tmp_path, b"".join(frames))) as package, package.data_stream() as stream:
        assert stream.read() == b"one" + b"two" * 1000


def test_zstd_without_end(tmp_path: Path) -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(os.urandom(1000))
    for cut in (1, 10, len(frame) - 4):
        folder = tmp_path / str(cut)
        folder.mkdir()
        deb = zstd_deb(folder, frame[:-cut])
        with pytest.raises(UserError, match="truncated"), Deb(deb) as package, package.data_stream() as stream:
            stream.read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it isn't an ar archive"),
        (b"PK\3\4" * 30, "it isn't an ar archive"),
        (b"!<arch>\n", "its first member isn't debian-binary"),
        (b"!<arch>\n" + b"x" * 60, "no ar member header at byte 8"),
        (b"!<arch>\n" + b"debian-binary   0           0     0     100644  -4        `\n2.0\n", "no valid size or time"),
        (b"!<arch>\n" + b"debian-binary   0           0     0     100644  900       `\n2.0\n", "ends after the end"),
        (b"!<arch>\n" + b"debian-binary   0           0     0     100644  4         `\n9.0\n", "format b'9.'"),
    ],
)
def test_not_a_package(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "wrong.deb"
    path.write_bytes(content)
    with pytest.raises(UserError, match=said):
        Deb(path)


def test_missing_members(tmp_path: Path) -> None:
    path = tmp_path / "empty.deb"
    path.write_bytes(b"!<arch>\n" + b"debian-binary   0           0     0     100644  4         `\n2.0\n")
    with Deb(path) as package:
        with pytest.raises(UserError, match=r"has no control\.tar"):
            package.control()
        with pytest.raises(UserError, match=r"has no data\.tar"), package.data():
            pass


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        Deb(tmp_path / "gone.deb")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file; give the package file"):
        Deb(tmp_path)
