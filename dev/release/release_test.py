"""Tests releases of small checkouts: their files, reproducibility and errors."""

import base64
import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from dev.release.checkout import TrackedFile
from dev.release.module import Module, read_changes, read_module
from dev.release.release import Arguments, main, release_files
from dev.release.source_archive import source_archive
from tools.core.cli import call
from tools.core.errors import UserError
from tools.testing.oracles import ask, oracle

MODULE = """\
module(
    name = "rules",
    version = "1.2.0",
)

bazel_dep(name = "other", version = "9")
"""
CHANGELOG = """\
# Changelog

## [Unreleased]

## [1.2.0] - 2024-05-06

### Added

- A thing that is written {SO}.

## [1.1.0] - 2024-01-01

- An older thing.
"""
FILES = {
    "MODULE.bazel": MODULE,
    "CHANGELOG.md": CHANGELOG,
    ".gitattributes": "/tests/** export-ignore\n",
    ".gitignore": "/ignored\n",
    ".bcr/metadata.template.json": json.dumps(
        {"homepage": "h", "maintainers": [], "repository": ["github:me/rules"], "versions": [], "yanked_versions": {}}
    ),
    ".bcr/source.template.json": '{"url": "https://example.org/{OWNER}/{REPO}/{TAG}/{REPO}-{VERSION}.tar.gz"}',
    ".bcr/presubmit.yml": "matrix: {}\n",
    "tests/deep/x_test.py": "",
    "dev/release/release-notes.template.md": "{CHANGES}\n\n{NAME} {VERSION} {URL} {SHA256} {INTEGRITY} {FOLDER}\n",
    "tools/run.sh": "#!/bin/sh\n",
    "ü/with space": "x" * 1000,
}
IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")


def git(folder, *arguments):
    subprocess.run([oracle("git"), "-C", folder, *IDENTITY, *arguments], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    for path, text in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "tools/run.sh").chmod(0o755)
    (folder / "link").symlink_to("tools/run.sh")
    git(tmp_path, "init", "--quiet", folder)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=all")
    return folder


def commit(folder, path, text):
    (folder / path).write_text(text)
    git(folder, "commit", "--quiet", "--all", "--message=more")


def test_archive(checkout, tmp_path):
    """GNU tar lists the expected entries; owners and times don't depend on the machine."""
    (tmp_path / "a.tar.gz").write_bytes(release_files(checkout)["rules-1.2.0.tar.gz"])
    listing = ask(
        "tar",
        "--list",
        "--verbose",
        "--full-time",
        "--numeric-owner",
        "--quoting-style=literal",
        "--file",
        tmp_path / "a.tar.gz",
    )
    entries = [line.split(maxsplit=5) for line in listing.splitlines()]
    assert [entry[5] for entry in entries] == [
        "rules-1.2.0/.bcr/metadata.template.json",
        "rules-1.2.0/.bcr/presubmit.yml",
        "rules-1.2.0/.bcr/source.template.json",
        "rules-1.2.0/.gitattributes",
        "rules-1.2.0/.gitignore",
        "rules-1.2.0/CHANGELOG.md",
        "rules-1.2.0/MODULE.bazel",
        "rules-1.2.0/dev/release/release-notes.template.md",
        "rules-1.2.0/link -> tools/run.sh",
        "rules-1.2.0/tools/run.sh",
        "rules-1.2.0/ü/with space",
    ]
    assert {entry[0] for entry in entries} == {"-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}
    assert {entry[0] for entry in entries if entry[5].endswith("rules-1.2.0/tools/run.sh")} == {"-rwxr-xr-x"}
    assert {(entry[1], entry[3], entry[4]) for entry in entries} == {("0/0", "2000-01-01", "00:00:00")}
    ask("tar", "--extract", "--directory", tmp_path, "--file", tmp_path / "a.tar.gz")
    assert (tmp_path / "rules-1.2.0/ü/with space").read_text() == FILES["ü/with space"]


def test_same_bytes_elsewhere(checkout, tmp_path):
    """The archive is independent of clone, umask, order of files on disk and git configuration."""
    umask = os.umask(0o077)
    try:
        git(tmp_path, "clone", "--quiet", checkout, tmp_path / "clone")
    finally:
        os.umask(umask)
    git(tmp_path / "clone", "config", "core.autocrlf", "true")
    git(tmp_path / "clone", "config", "core.quotePath", "true")
    git(tmp_path / "clone", "config", "core.fileMode", "false")
    (tmp_path / "clone/tools/run.sh").chmod(0o600)
    (tmp_path / "clone/ignored").write_text("nothing to see")
    assert release_files(tmp_path / "clone") == release_files(checkout)


def test_settings_of_a_user_leave_nothing_out(checkout, tmp_path, monkeypatch):
    (tmp_path / "attributes").write_text("* export-ignore\n")
    (tmp_path / "gitconfig").write_text(f"[core]\n\tattributesFile = {tmp_path}/attributes\n")
    before = release_files(checkout)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    assert release_files(checkout) == before


def test_long_paths(tmp_path):
    paths = [b"a" * 60 + b"/" + b"b" * 99, b"a/" * 40 + b"c" * 90, b"d" * 95, b"e" * 101]
    data = source_archive([TrackedFile(path, False, False, b"x") for path in paths], "rules-1.2.0")
    (tmp_path / "a.tar.gz").write_bytes(data)
    assert ask("tar", "--list", "--file", tmp_path / "a.tar.gz").split() == [f"rules-1.2.0/{p.decode()}" for p in paths]


def test_checksums_and_entry_of_the_registry(checkout, tmp_path):
    assert call(main, Arguments, "", ["release", f"--checkout={checkout}", f"--output={tmp_path / 'out'}"]) == 0
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "modules/rules/1.2.0/MODULE.bazel",
        "modules/rules/1.2.0/presubmit.yml",
        "modules/rules/1.2.0/source.json",
        "modules/rules/metadata.json",
        "release-notes.md",
        "rules-1.2.0.tar.gz",
        "rules-1.2.0.tar.gz.sha256",
    ]
    subprocess.run([oracle("sha256sum"), "--check", "--quiet", "rules-1.2.0.tar.gz.sha256"], cwd=out, check=True)
    source = json.loads((out / "modules/rules/1.2.0/source.json").read_text())
    digest = hashlib.sha256((out / "rules-1.2.0.tar.gz").read_bytes()).digest()
    assert source == {
        "integrity": "sha256-" + base64.b64encode(digest).decode(),
        "strip_prefix": "rules-1.2.0",
        "url": "https://example.org/me/rules/v1.2.0/rules-1.2.0.tar.gz",
    }
    assert (out / "modules/rules/1.2.0/MODULE.bazel").read_text() == MODULE
    assert json.loads((out / "modules/rules/metadata.json").read_text())["versions"] == ["1.2.0"]


def test_reference(checkout, tmp_path):
    """It is published beside the archive, under the address that the registry takes it from."""
    (tmp_path / "docs.tar.gz").write_bytes(b"reference")
    files = release_files(checkout, docs=tmp_path / "docs.tar.gz")
    assert files["rules-1.2.0.docs.tar.gz"] == b"reference"
    source = json.loads(files["modules/rules/1.2.0/source.json"])
    assert source["docs_url"] == "https://example.org/me/rules/v1.2.0/rules-1.2.0.docs.tar.gz"


def test_templates_agree_with_a_release(checkout, tmp_path):
    """Of this checkout: the registry's workflow and this command make the same URLs."""
    templates = Path(__file__).parents[2] / ".bcr"
    source = json.loads((templates / "source.template.json").read_text())
    words = {"OWNER": "me", "REPO": "rules", "TAG": "v1.2.0", "VERSION": "1.2.0"}
    for path in templates.iterdir():
        (checkout / ".bcr" / path.name).write_text(path.read_text().replace("dfinity/rules_icos", "me/rules"))
    git(checkout, "commit", "--quiet", "--all", "--message=templates")
    (tmp_path / "docs.tar.gz").write_bytes(b"reference")
    files = release_files(checkout, docs=tmp_path / "docs.tar.gz")
    made = json.loads(files["modules/rules/1.2.0/source.json"])
    assert [made[key] for key in ("docs_url", "url")] == [source[key].format(**words) for key in ("docs_url", "url")]
    metadata = json.loads(files["modules/rules/metadata.json"])
    assert metadata.keys() == {"homepage", "maintainers", "repository", "versions", "yanked_versions"}


def test_notes(checkout):
    files = release_files(checkout, url="file:///a")
    sha256 = hashlib.sha256(files["rules-1.2.0.tar.gz"]).hexdigest()
    notes = files["release-notes.md"].decode()
    assert notes.startswith(f"### Added\n\n- A thing that is written {{SO}}.\n\nrules 1.2.0 file:///a {sha256} sha256-")
    assert "older" not in notes


def test_versions_before_are_kept(checkout, tmp_path):
    metadata = tmp_path / "registry/modules/rules/metadata.json"
    metadata.parent.mkdir(parents=True)
    metadata.write_text('{"versions": ["1.1.0"], "yanked_versions": {"1.1.0": "broken"}}')
    written = json.loads(release_files(checkout, registry=tmp_path / "registry")["modules/rules/metadata.json"])
    assert written["versions"] == ["1.1.0", "1.2.0"]
    assert written["yanked_versions"] == {"1.1.0": "broken"}
    metadata.write_text('{"versions": ["1.2.0"]}')
    with pytest.raises(UserError, match=r"has version 1\.2\.0; choose the next version"):
        release_files(checkout, registry=tmp_path / "registry")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "link").unlink(),
        lambda folder: (folder / "MODULE.bazel").write_text(MODULE + "\n"),
        lambda folder: (folder / "new").write_text(""),
        lambda folder: ((folder / "new").write_text(""), git(folder, "add", "new")),
    ],
    ids=["removed", "changed", "untracked", "staged"],
)
def test_not_all_is_committed(checkout, tmp_path, capsys, change):
    change(checkout)
    assert call(main, Arguments, "", ["release", f"--checkout={checkout}", f"--output={tmp_path / 'out'}"]) == 2
    said = capsys.readouterr().err
    assert "there are uncommitted changes: " in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["checkout"]


def test_output_is_there(checkout, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    assert call(main, Arguments, "", ["release", f"--checkout={checkout}", f"--output={tmp_path / 'out'}"]) == 2
    assert "out: exists already; use another directory" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_no_checkout(tmp_path):
    with pytest.raises(UserError, match=r"git status fails: .*not a git repository"):
        release_files(tmp_path)


def test_submodules_are_no_files(checkout):
    head = subprocess.run(
        [oracle("git"), "-C", checkout, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    git(checkout, "update-index", "--add", "--cacheinfo", f"160000,{head.stdout.strip()},sub")
    git(checkout, "commit", "--quiet", "--message=sub")
    (checkout / "sub").mkdir()
    with pytest.raises(UserError, match="sub: is neither a file nor a symbolic link"):
        release_files(checkout)


@pytest.mark.parametrize(
    ("changelog", "message"),
    [
        (CHANGELOG.replace("1.2.0", "1.3.0"), "no section '## [1.2.0] - YYYY-MM-DD' for the version of MODULE.bazel"),
        (CHANGELOG.replace(" - 2024-05-06", ""), "CHANGELOG.md:5: has no date"),
        (
            "## [1.2.0] - 2024-05-06\n\n## [1.1.0] - 2024-01-01\n\n- A\n",
            "CHANGELOG.md:1: has no text for version 1.2.0",
        ),
        ("", "(there are: none)"),
    ],
)
def test_changelog_without_the_version(checkout, changelog, message):
    commit(checkout, "CHANGELOG.md", changelog)
    with pytest.raises(UserError) as caught:
        release_files(checkout)
    assert message in str(caught.value)


def test_last_section_ends_with_the_file(tmp_path):
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    assert read_changes(tmp_path / "CHANGELOG.md", "1.1.0") == "- An older thing."


def test_module(tmp_path):
    (tmp_path / "MODULE.bazel").write_text(MODULE)
    assert read_module(tmp_path / "MODULE.bazel") == Module("rules", "1.2.0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bazel_dep(name = 'x', version = '1')\n", "has no call of module"),
        ("\nmodule(name = 'x')\n", "MODULE.bazel:2: module.. has no name or no version"),
        ("module(name = 'x', version = '')\n", "has no name or no version"),
        ("module(\n", "cannot be read"),
    ],
)
def test_module_without_version(tmp_path, text, message):
    (tmp_path / "MODULE.bazel").write_text(text)
    with pytest.raises(UserError, match=message):
        read_module(tmp_path / "MODULE.bazel")
