"""What the page on manifests of packages shows is what their reader makes of it."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from tools.core.errors import UserError
from tools.debian.manifest import Archive, PackageSet, read_manifest

PAGE = (Path(__file__).parent / "packages.md").read_text()
ROWS = [re.findall(r"(?<=\|) (.*?) (?=\|)", line) for line in PAGE.splitlines() if line.startswith("| ")]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads the text of a manifest named trixie.toml."""
    monkeypatch.chdir(tmp_path)

    def read_text(text):
        Path("trixie.toml").write_text(text)
        return read_manifest(Path("trixie.toml"))

    return read_text


def keys_of(table):
    """Returns the keys that the page has for a table, and what it says of their values."""
    return {row[1].strip("`"): row[2] for row in ROWS if row[0].strip("`") == table}


def is_optional(description):
    return "optional" in description or "default" in description


def test_example(read):
    manifest = read(re.search("```toml\n(.*?)```", PAGE, re.DOTALL)[1])
    assert list(manifest.archives) == ["debian", "debian-security"]
    assert {name: len(manifest.sets[name].packages) for name in manifest.sets} == {
        "bootloader": 2,
        "installer": 3,
        "system": 4,
        "system-debug": 6,
    }


@pytest.mark.parametrize(("kind", "table"), [(Archive, "[archives.NAME]"), (PackageSet, "[sets.NAME]")])
def test_keys(kind, table):
    shown = {key: is_optional(value) for key, value in keys_of(table).items() if key != "extends"}
    assert shown == {
        field.name: field.default is not MISSING or field.default_factory is not MISSING for field in fields(kind)
    }


def test_defaults():
    shown = {key: value for key, value in keys_of("[sets.NAME]").items() if "(default)" in value}
    named = {key: re.search(r"`(true|false)` \(default\)", value)[1] == "true" for key, value in shown.items()}
    defaults = PackageSet(packages=[])
    assert named == {"essential": defaults.essential, "dependencies": defaults.dependencies}


@pytest.mark.parametrize(("text", "message"), [row for row in ROWS if len(row) == 2 and "trixie.toml:" in row[1]])
def test_errors(read, text, message):
    with pytest.raises(UserError) as error:
        read(text.strip("`"))
    assert str(error.value) == message.strip("`")


def test_errors_are_there():
    assert PAGE.count("`trixie.toml: ") == 2
