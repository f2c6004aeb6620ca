"""Tests parsing manifests, errors in them, and their digest."""

from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.manifest import PackageSet, read_manifest

MANIFEST = """
architectures = ["amd64"]

[archives.debian]
mirrors = ["https://mirror.example/debian"]
snapshots = "https://snapshot.example/debian/{time}"
suites = ["trixie", "trixie-updates"]
components = ["main"]
keyring = "keys.asc"

[sets.base]
essential = true
provided = ["linux-initramfs-tool"]
packages = ["systemd", "curl=8.0-1"]

[sets.more]
extends = "base"
packages = ["vim", "systemd"]

[sets.files]
dependencies = false
packages = ["shim-signed"]
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "manifest.toml"
    path.write_text(text)
    return path


def test_reads(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, MANIFEST))
    assert manifest.architectures == ["amd64"]
    assert manifest.archives["debian"].suites == ["trixie", "trixie-updates"]
    assert manifest.sets["base"] == PackageSet(
        packages=["systemd", "curl=8.0-1"], essential=True, provided=["linux-initramfs-tool"]
    )
    assert manifest.sets["files"] == PackageSet(packages=["shim-signed"], dependencies=False)


def test_extends(tmp_path: Path) -> None:
    more = read_manifest(write(tmp_path, MANIFEST)).sets["more"]
    assert more.packages == ["systemd", "curl=8.0-1", "vim"]
    assert more.essential
    assert more.provided == ["linux-initramfs-tool"]


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ("\n[sets.base]", "\n# a remark\n[sets.base]", True),
        ('["systemd", "curl=8.0-1"]', '[\n  "systemd",\n  "curl=8.0-1",\n]', True),
        ("dependencies = false", "dependencies = true", False),
        ('"curl=8.0-1"', '"curl"', False),
        ("mirror.example", "other.example", False),
        ("essential = true", "essential = false", False),
        ('"linux-initramfs-tool"', '"kmod"', False),
        ('["amd64"]', '["amd64", "arm64"]', False),
    ],
)
def test_digest(tmp_path: Path, old: str, new: str, same: bool) -> None:
    assert MANIFEST.count(old) == 1
    before = read_manifest(write(tmp_path, MANIFEST)).digest()
    after = read_manifest(write(tmp_path, MANIFEST.replace(old, new))).digest()
    assert (before == after) is same


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("architectures =", "architectures", "isn't valid TOML"),
        ('architectures = ["amd64"]', "", "architectures: must be a list"),
        ('["amd64"]', '["AMD 64"]', "architectures: 'AMD 64' isn't valid here"),
        ('["amd64"]', "[]", "architectures: must be a list"),
        ('["amd64"]', '["amd64", "amd64"]', "architectures: has a repeated value"),
        ('["amd64"]', "[64]", "architectures: 64 isn't valid here"),
        ("[archives.debian]", "[sources.debian]", "the file: unknown key 'sources'"),
        ("[archives.debian]", '[archives."De bian"]', "archives.De bian: must be a table"),
        ("https://mirror.example/debian", "https://mirror.example/debian/", "archives.debian.mirrors"),
        ("https://mirror.example/debian", "ftp://mirror.example/debian", "archives.debian.mirrors"),
        ("debian/{time}", "debian/", "archives.debian.snapshots: must be a URL that has {time} once"),
        ("debian/{time}", "{time}/{time}", "archives.debian.snapshots"),
        ("keys.asc", "keys.gpg", "archives.debian.keyring"),
        ("suites =", "suits =", "archives.debian: unknown key 'suits'"),
        ("essential = true", "essential = 1", "sets.base.essential: must be true or false"),
        ('"systemd", "curl', '"Systemd", "curl', "sets.base.packages: 'Systemd' isn't valid here"),
        ('extends = "base"', 'extends = "bass"', "sets.more.extends: must be the name of a set"),
        ('extends = "base"', 'extends = "more"', "sets.more.extends: must be the name of a set that doesn't extend"),
        ('extends = "base"', 'extends = "base"\nessential = true', "sets.more: unknown key 'essential'"),
    ],
)
def test_refuses(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert MANIFEST.count(old) == 1
    path = write(tmp_path, MANIFEST.replace(old, new))
    with pytest.raises(UserError) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}: ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_manifest(tmp_path / "gone.toml")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a = " + b"9" * 5000, b"a = " + b"[" * 5000])
def test_not_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match="isn't valid TOML"):
        read_manifest(path)
