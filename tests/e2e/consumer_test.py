"""A repository that uses the rules as a module, and by its WORKSPACE, with the oldest and the newest of other rules.

Where Debian's Bazel runs, the newest are the ones installed with it, the oldest those of Debian's stable release.
Elsewhere they are what MODULE.bazel and repositories.bzl name, and nothing older is tried.
"""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.downstream import RULES, Workspace
from tests.e2e.downstream import checked_in
from tools.testing.oracles import oracle

INSTALLED = Path("/usr/share/bazel")
"""Where Debian's packages of Bazel's rules are."""

REPOSITORIES = {
    "bazel_features": "tools/features",
    "bazel_skylib": "tools/skylib",
    "platforms": "tools/platforms",
    "rules_cc": "rules/cc",
    "rules_license": "rules/license",
    "rules_pkg": "rules/pkg",
    "rules_python": "rules/python",
}
"""Rules that Debian has, by name, below the folder of its packages."""

OLD = ("bazel_skylib",)
"""Those that the stable release has, too, and that Bazel 7 can work with."""


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    found = checked_in("tests/e2e/consumer", tmp_path_factory.getbasetemp())
    yield found
    found.bazel("shutdown")


@pytest.fixture(scope="module")
def old_rules(consumer: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the oldest rules, which come from a lock of the consumer's own."""
    folder = tmp_path_factory.mktemp("old")
    newest = way(consumer, "modules")
    status, said = newest.build("//:old_rules")
    assert status == 0, said
    archive = newest.folder_of("bazel-bin") / "old_rules.tar"
    subprocess.run([oracle("tar"), "--extract", "--file", archive, "--directory", folder], check=True)
    return folder / INSTALLED.relative_to("/")


def way(consumer: Workspace, config: str, old: Path | None = None) -> Workspace:
    """Returns the consumer with the flags that lead it to rules.

    Args:
        consumer: the repository.
        config: `modules` or `workspace`.
        old: the folder of the oldest rules, for a WORKSPACE; None for the newest.
    """
    flags = [f"--config={config}"]
    # Modules are led to what is installed by the container's own settings.
    if config == "workspace" and INSTALLED.exists():
        for name, folder in REPOSITORIES.items():
            flags.append(f"--override_repository={name}={(old if old and name in OLD else INSTALLED) / folder}")
    return replace(consumer, flags=[*consumer.flags, *flags])


def check(consumer: Workspace) -> str:
    """Builds and tests all of the consumer; returns a checksum of its disk."""
    status, said = consumer.run("test", "//...")
    assert status == 0, said
    assert "5 tests pass." in said, said
    disk = consumer.folder_of("bazel-bin") / "disk.tar"
    return hashlib.sha256(disk.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def disk(consumer: Workspace) -> str:
    """Checksum of the disk that the newest rules make of modules."""
    return check(way(consumer, "modules"))


def test_without_modules(consumer: Workspace, disk: str) -> None:
    assert check(way(consumer, "workspace")) == disk


@pytest.mark.skipif(not INSTALLED.exists(), reason="older rules are had with Debian's Bazel only: container-run.sh")
def test_oldest_rules(consumer: Workspace, disk: str, old_rules: Path) -> None:
    """Without modules: these rules are older than modules, and what else makes a graph of modules needs newer ones."""
    assert check(way(consumer, "workspace", old_rules)) == disk


def test_versions_without_modules() -> None:
    """repositories.bzl has the versions of MODULE.bazel."""
    module = dict(re.findall(r'bazel_dep\(name = "(\w+)", version = "([^"]+)"\)', (RULES / "MODULE.bazel").read_text()))
    macro = re.findall(
        r'^    "(\w+)": struct\(.*?version = "([^"]+)"',
        (RULES / "repositories.bzl").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    assert dict(macro) == module
