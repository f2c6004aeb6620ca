"""Packages that dpkg-deb builds are read as dpkg-deb itself reads them."""

import os
import subprocess
import tempfile
from pathlib import Path

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
    """A package whose data is the given zstd frames; dpkg-deb writes one frame only."""
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
def test_control(tmp_path: Path, compression: str) -> None:
    deb = make(tmp_path, compression, {})
    with Deb(deb) as package:
        control = package.control()
        assert package.built == BUILT
    for field, value in control.items():
        told = subprocess.run([oracle("dpkg-deb"), "--field", deb, field], check=True, capture_output=True).stdout
        assert told.decode() == value + "\n"
    assert control["Description"] == DESCRIPTION


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
        with pytest.raises(UserError, match="cut short"), Deb(deb) as package, package.data_stream() as stream:
            stream.read()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "doesn't start as an ar archive"),
        (b"PK\3\4" * 30, "doesn't start as an ar archive"),
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
