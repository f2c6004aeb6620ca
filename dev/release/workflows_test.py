"""Tests the form of the workflows that publish a release, and the script that they run. No workflow runs."""

import fnmatch
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.release.module import read_module
from tools.testing.oracles import oracle

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".github/workflows"
WORKFLOWS = ["publish.yaml", "release.yaml"]
SCRIPT = FOLDER / "release_prep.sh"

SIGNING = {
    "bazel-contrib/.github/.github/workflows/release_ruleset.yaml",
    "bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml",
}
"""Workflows whose attestations the registry verifies, which it does for those named by the tag of a version alone."""

INPUTS = {
    "bazel-contrib/.github/.github/workflows/release_ruleset.yaml": {
        "bazel_test_command",
        "draft",
        "generate_release_notes",
        "mount_bazel_caches",
        "prerelease",
        "release_files",
        "tag_name",
    },
    "bazel-contrib/publish-to-bcr/.github/workflows/publish.yaml": {
        "attest",
        "author_email",
        "author_name",
        "committer_email",
        "committer_name",
        "draft",
        "environment",
        "module_roots",
        "open_pull_request",
        "registry",
        "registry_branch",
        "registry_fork",
        "repository",
        "tag_name",
        "tag_prefix",
        "templates_ref",
    },
}
"""Their inputs, in the versions that are pinned."""

MODULE = 'module(\n    name = "rules",\n    version = "1.2.0",\n)\n'
BAZEL = """\
#!/bin/sh
for word; do case $word in --checkout=*) sources=${word#*=} ;; --output=*) output=${word#*=} ;; esac; done
git -C "$sources" status --porcelain
mkdir "$output" && git -C "$sources" show HEAD:notes >"$output/release-notes.md"
"""


def loaded(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((FOLDER / name).read_text())
    return found


def used(workflow: dict[Any, Any]) -> Iterator[dict[str, Any]]:
    """Yields the jobs and steps that use another workflow or an action."""
    for job in workflow["jobs"].values():
        yield from (each for each in (job, *job.get("steps", [])) if "uses" in each)


def test_which() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.y*ml")) == WORKFLOWS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_what_is_used_is_pinned(name: str) -> None:
    uses = list(used(loaded(name)))
    assert uses
    for each in uses:
        path, _, version = each["uses"].partition("@")
        if path.startswith("./"):
            assert (ROOT / path).is_file(), path
        elif path in SIGNING:
            assert re.fullmatch(r"v\d+\.\d+\.\d+", version), each["uses"]
        else:
            assert re.fullmatch("[0-9a-f]{40}", version), each["uses"]
            assert re.search(rf"@{version} # v\d+\.\d+\.\d+$", (FOLDER / name).read_text(), re.MULTILINE), each["uses"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_inputs_are_known(name: str) -> None:
    for each in used(loaded(name)):
        path = each["uses"].partition("@")[0]
        if path in SIGNING:
            assert each["with"].keys() <= INPUTS[path]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_jobs_have_the_rights_that_they_ask_for(name: str) -> None:
    workflow = loaded(name)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        writes = {"attestations": "write", "contents": "write", "id-token": "write"}
        assert job["permissions"] == (writes if "uses" in job else {"contents": "read"})


def test_publish_gets_what_it_needs() -> None:
    # YAML 1.1 takes the key `on` for a boolean.
    needed = loaded("publish.yaml")[True]["workflow_call"]
    (call,) = (each for each in used(loaded("release.yaml")) if each["uses"].startswith("./"))
    assert call["with"].keys() == needed["inputs"].keys()
    assert call["secrets"].keys() == needed["secrets"].keys()


def test_files_of_a_release_are_published() -> None:
    module = read_module(ROOT / "MODULE.bazel")
    root = f"dist/{module.name}-{module.version}"
    (release,) = (each["with"] for each in used(loaded("release.yaml")) if "release_files" in each["with"])
    patterns = release["release_files"].split()
    for path in (f"{root}.tar.gz", f"{root}.tar.gz.sha256", f"{root}.docs.tar.gz"):
        assert any(fnmatch.fnmatch(path, pattern) for pattern in patterns), path


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of one commit, with a stub of Bazel, and a file that the caller of the script writes."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "MODULE.bazel").write_text(MODULE)
    (folder / "notes").write_text("What is new.\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/bazel").write_text(BAZEL)
    (tmp_path / "bin/bazel").chmod(0o755)
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "--quiet"), ("add", "."), (*identity, "commit", "--quiet", "--message=1.2.0")):
        subprocess.run([oracle("git"), "-C", folder, *words], check=True)
    (folder / "release_notes.txt").write_text("")
    return folder


def prepare(checkout: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout.parent / 'bin'}:{os.environ['PATH']}"
    scratch = checkout.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = os.environ | {"PATH": path, "TMPDIR": str(scratch)}
    command = [str(SCRIPT), *words]
    return subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def test_the_script_prints_the_notes(checkout: Path) -> None:
    """The release is one of the commit alone, and nothing but the files of the release stays."""
    done = prepare(checkout, "v1.2.0")
    assert (done.returncode, done.stdout) == (0, "What is new.\n"), done.stderr
    assert done.stderr == "", "the checkout that is released is not clean"
    assert (checkout / "dist/release-notes.md").is_file()
    assert list((checkout.parent / "scratch").iterdir()) == []
    listed = subprocess.run([oracle("git"), "-C", checkout, "worktree", "list"], capture_output=True, check=True)
    assert listed.stdout.count(b"\n") == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "the tag of the release is missing"),
        (("v1.3.0",), "error: v1.3.0: MODULE.bazel has version 1.2.0; tag the commit that releases it v1.2.0"),
        (("1.2.0",), "error: 1.2.0: MODULE.bazel has version 1.2.0; tag the commit that releases it v1.2.0"),
    ],
)
def test_another_tag_is_refused(checkout: Path, words: tuple[str, ...], message: str) -> None:
    done = prepare(checkout, *words)
    assert (done.returncode != 0, done.stdout) == (True, "")
    assert message in done.stderr
    assert not (checkout / "dist").exists()
