"""Tests a repository that uses the rules, as a module and by WORKSPACE, with the oldest and newest versions of other
rules.

With Debian's Bazel, the newest versions are those installed with it, and the oldest those of Debian's stable release.
Otherwise only the versions of MODULE.bazel and repositories.bzl are tested.
"""

import hashlib
import os
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
"""Directory of the rules in Debian's packages."""

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
"""Those whose version in the stable release works with Bazel 7."""


@pytest.fixture(scope="module")
def consumer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    found = checked_in("tests/e2e/consumer", tmp_path_factory.getbasetemp())
    yield found
    found.bazel("shutdown")


@pytest.fixture(scope="module")
def old_rules(consumer: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the oldest rules, from the consumer's own lock."""
    folder = tmp_path_factory.mktemp("old")
    newest = way(consumer, "modules")
    status, said = newest.build("//:old_rules")
    assert status == 0, said
    archive = newest.folder_of("bazel-bin") / "old_rules.tar"
    subprocess.run([oracle("tar"), "--extract", "--file", archive, "--directory", folder], check=True)
    return folder / INSTALLED.relative_to("/")


def way(consumer: Workspace, config: str, old: Path | None = None) -> Workspace:
    """Returns the consumer with the flags that select the rules.

    Args:
        consumer: the repository.
        config: `modules` or `workspace`.
        old: the folder of the oldest rules, for a WORKSPACE; None for the newest.
    """
    flags = [f"--config={config}"]
    # For modules the container's bazelrc selects the installed rules.
    if config == "workspace" and INSTALLED.exists():
        for name, folder in REPOSITORIES.items():
            flags.append(f"--override_repository={name}={(old if old and name in OLD else INSTALLED) / folder}")
    return replace(consumer, flags=[*consumer.flags, *flags])


def check(consumer: Workspace) -> str:
    """Builds and tests all of the consumer; returns a checksum of its disk."""
    status, said = consumer.run("test", "//...")
    assert status == 0, said
    assert "12 tests pass." in said, said
    disk = consumer.folder_of("bazel-bin") / "disk.tar"
    return hashlib.sha256(disk.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def disk(consumer: Workspace) -> str:
    """Checksum of the disk, built as a module with the newest rules."""
    return check(way(consumer, "modules"))


def generated(consumer: Workspace, extension: str) -> set[str]:
    """Returns the repositories that an extension of the rules declares in the consumer's build."""
    status, said = consumer.bazel("mod", "--config=modules", "show_extension", f"@rules_icos//{extension}")
    assert status == 0, said
    listed = said.partition("Fetched repositories:")[2] if "Fetched repositories:" in said else said
    return set(re.findall(r"^  - (\S+)", listed.partition("## Usage")[0], re.MULTILINE))


def test_only_its_own_packages_are_declared(consumer: Workspace) -> None:
    """Packages and wheels of the product, and what only tests of this checkout need, are not in a consumer's build."""
    debian = generated(consumer, "debian:extensions.bzl%debian")
    assert "consumer_packages" in debian
    assert {name for name in debian if not name.startswith("consumer_packages")} == set()
    wheels = generated(consumer, "third_party/python:extension.bzl%pypi")
    assert "pypi" in wheels
    assert {name for name in wheels if name.startswith(("pypi_publish", "pypi_remote", "pypi_drawing"))} == set()


def test_vendored_dependencies(consumer: Workspace, tmp_path: Path) -> None:
    """They are those of the consumer alone, and all that a build needs, which then downloads nothing."""
    modules = way(consumer, "modules")
    folder = tmp_path / "vendored"
    status, said = modules.run("vendor", f"--vendor_dir={folder}", "//...")
    assert status == 0, said
    vendored = {path.name for path in folder.iterdir()}
    own = (RULES / "MODULE.bazel").read_text()
    locks = set(re.findall(r'^ +name = "((?:icos|pypi)_\w+)"', own, re.MULTILINE))
    assert {"icos_noble", "icos_trixie", "pypi_publish", "pypi_testnet"} <= locks
    assert [name for name in vendored if any(lock in name for lock in locks)] == []
    debian = {name for name in vendored if "debian" in name and not name.endswith(".marker")}
    assert len(debian) > 1
    assert [name for name in debian if "consumer_packages" not in name] == []
    offline = replace(modules, output_root=tmp_path / "bazel")
    # The sandbox has its own /tmp, and the folder is in the real one.
    flags = ["--repository_cache=", "--repository_disable_download", f"--sandbox_add_mount_pair={folder}"]
    targets = ["//:license", "//:root_fs"]
    try:
        status, said = offline.build(*flags, *targets)
        assert status != 0
        assert "failed to fetch" in said, said
        status, said = offline.build(*flags, f"--vendor_dir={folder}", *targets)
        assert status == 0, said
    finally:
        offline.bazel("shutdown")


def test_bazel_run_takes_paths_from_the_folder_of_the_caller(consumer: Workspace, tmp_path: Path) -> None:
    """Commands are started in their runfiles; a target's own paths are there, the caller's are where the caller is."""
    modules = way(consumer, "modules")
    status, said = modules.run("run", "@rules_icos//tools/commands:sha256", "--", "motd.txt")
    assert status == 0, said
    assert said.endswith(f"\n{hashlib.sha256((consumer.folder / 'motd.txt').read_bytes()).hexdigest()}  motd.txt\n")
    status, said = modules.run("run", "//:raw_disk", "--", f"--output={tmp_path}/disk.img")
    assert status == 0, said
    assert (tmp_path / "disk.img").read_bytes()[512:520] == b"EFI PART"


def test_what_is_inside_by_bazel_run(consumer: Workspace, tmp_path: Path) -> None:
    inspector = ("run", "//:disk.inspect", "--")
    modules = way(consumer, "modules")
    status, said = modules.run(*inspector, "which", "--partition=A_root", "/etc/motd.txt", "/etc/version")
    assert status == 0, said
    assert said.endswith("\n/etc/motd.txt: of no package, layer //:tree\n/etc/version: of no package, layer //:tree\n")
    relative = os.path.relpath(tmp_path, consumer.folder)
    status, said = modules.run(*inspector, "extract", "--partition=A_root", "/etc/motd.txt", f"{relative}/motd")
    assert status == 0, said
    assert (tmp_path / "motd").read_bytes() == (consumer.folder / "motd.txt").read_bytes()
    status, said = modules.run(*inspector, "cat", "--partition=none", "/etc/motd.txt")
    assert status == 2, said
    assert "none" in said.splitlines()[-1], said


def test_what_is_inside_an_update_by_bazel_run(consumer: Workspace) -> None:
    inspector = ("run", "//:upgrade.inspect", "--")
    modules = way(consumer, "modules")
    status, said = modules.run(*inspector)
    assert status == 0, said
    members = ["manifest.json", "manifest.json.sig", "boot.img", "root.img", "VERSION.TXT"]
    assert [line.split()[-1] for line in said.splitlines()[-len(members) :]] == members, said
    status, said = modules.run(*inspector, "which", "--member=root.img", "/etc/motd.txt")
    assert status == 0, said
    assert said.endswith("\n/etc/motd.txt: of no package, layer //:tree\n")
    status, said = modules.run(*inspector, "cat", "--member=manifest.json")
    assert status == 0, said
    assert '"product": "consumer"' in said, said


def test_qemu_of_a_toolchain(consumer: Workspace) -> None:
    """The program of a registered toolchain is what a launcher starts; without one it is that of the machine."""
    modules = way(consumer, "modules")
    status, said = modules.run("run", "--extra_toolchains=//:own_qemu", "//:launch", "--", "--accel=tcg")
    assert status == 0, said
    started = said.splitlines()[-1]
    assert started.startswith("own QEMU: -nodefaults -accel tcg "), said
    assert re.search(r" -drive if=pflash,\S+,file=/\S+/version\.txt ", started), said
    status, said = modules.run("run", "//:launch", "--", "--qemu=no-such-qemu")
    assert status == 2, said
    assert said.endswith("\nerror: no-such-qemu: not found; install QEMU 10 or newer (Debian: qemu-system-x86)\n")


def flags_of_later_versions() -> tuple[list[str], list[str]]:
    """Returns the flags of next.bazelrc, and those that it leaves out."""
    text = (RULES / "tests/e2e/next.bazelrc").read_text()
    used = re.findall(r"^common:next (--\w+)$", text, re.MULTILINE)
    left_out = re.findall(r"^# (--\w+): .+\.$", text, re.MULTILINE)
    return used, left_out


def test_with_the_effects_of_later_versions_of_bazel(consumer: Workspace) -> None:
    """The rules, their tools and a repository that uses them are analysed; nothing is built."""
    used, _ = flags_of_later_versions()
    status, said = way(consumer, "modules").build("--nobuild", *used, "//...", "@rules_icos//tools/commands/...")
    assert status == 0, said


def test_the_flags_of_later_versions_are_complete(consumer: Workspace) -> None:
    status, said = consumer.bazel("help", "build", "--long")
    assert status == 0, said
    off = re.findall(r"^ +--\[no\](incompatible_\w+) \(a boolean; default: \"false\"\)", said, re.MULTILINE)
    assert len(off) > 20, said
    used, left_out = flags_of_later_versions()
    assert sorted([*used, *left_out]) == sorted(f"--{name}" for name in off)


def test_actions_run_on_linux(consumer: Workspace) -> None:
    """On another host they need an execution platform with Linux, such as remote execution; nothing is built."""
    platforms = "@rules_icos//defs/tests:"
    flags = ["--nobuild", f"--host_platform={platforms}macos_aarch64", f"--platforms={platforms}linux_x86_64"]
    status, said = way(consumer, "modules").build(*flags, "//:disk")
    assert status != 0, said
    assert "Unable to find an execution platform for target platform" in said, said
    status, said = way(consumer, "modules").build(
        *flags, f"--extra_execution_platforms={platforms}linux_x86_64", "//:disk"
    )
    assert status == 0, said


def test_without_modules(consumer: Workspace, disk: str) -> None:
    assert check(way(consumer, "workspace")) == disk


@pytest.mark.skipif(not INSTALLED.exists(), reason="older rules are had with Debian's Bazel only: container-run.sh")
def test_oldest_rules(consumer: Workspace, disk: str, old_rules: Path) -> None:
    """Only by WORKSPACE, since these rules are older than modules."""
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
