"""A release of this checkout, and a module of its own that depends on it.

Runs Bazel itself, on PATH. The checkout is released as it is, committed or not, from a copy of its files.
"""

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

from dev.release.module import read_changes, read_module
from dev.release.release import Arguments, main
from tests.downstream import MODULE_FLAGS, PLAIN_OUTPUT, RULES, Workspace, copy_checkout, repository_cache
from tools.core.errors import UserError
from tools.testing.oracles import oracle

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")

BUILD = """
load("@rules_icos//defs:defs.bzl", "disk_image", "ext4_image", "filesystem_check_test", "image_structure_test")
load("@rules_icos//defs:defs.bzl", "rootfs_tree", "vfat_image")

rootfs_tree(name = "tree", extra_files = {"hello.txt": "etc/hello:0600"})

ext4_image(name = "root", src = ":tree", partition_size = "4M", uuid = "c8b0a1f2-0000-4000-8000-000000000001")

vfat_image(name = "esp", extra_files = {"hello.txt": "HELLO.TXT"}, partition_size = "2M", volume_id = "12AB-34CD")

disk_image(
    name = "disk",
    disk_guid = "c8b0a1f2-0000-4000-8000-000000000002",
    layout = "layout.csv",
    partitions = {":esp": "esp", ":root": "root"},
)

image_structure_test(
    name = "root_test",
    contains = {"/etc/hello": ["^hello$"]},
    image = ":disk.tar",
    partition = "root",
    present = {"/etc/hello": "type=file mode=0600 uid=0 gid=0"},
)

image_structure_test(name = "esp_test", image = ":disk.tar", partition = "esp", present = {"/HELLO.TXT": "type=file"})

filesystem_check_test(name = "check_test", image = ":disk.tar", partition = "root")
"""
LAYOUT = """\
name,start,size,type,uuid,comment
esp,2048,4096,U,c8b0a1f2-0000-4000-8000-000000000003,boot loader
root,6144,8192,L,c8b0a1f2-0000-4000-8000-000000000004,system
"""


def git(folder: Path, *arguments: object) -> bytes:
    command = [oracle("git"), "-C", folder, *IDENTITY, *map(str, arguments)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


def release(checkout: Path, output: Path, url: str) -> Path:
    """Creates a release with the command's main function."""
    main(Arguments(checkout=str(checkout), output=str(output), url=url))
    return output


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the files of this checkout, and with a changelog section for their version."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    changelog, version = folder / "CHANGELOG.md", read_module(folder / "MODULE.bazel").version
    try:
        read_changes(changelog, version)
    except UserError:
        head, _, changes = changelog.read_text().partition("## [Unreleased]\n")
        changelog.write_text(f"{head}## [Unreleased]\n\n## [{version}] - 2000-01-01\n{changes}")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=all")
    return folder


@pytest.fixture(scope="module")
def registry(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, whose URL is the actual archive."""
    module = read_module(checkout / "MODULE.bazel")
    output = tmp_path_factory.mktemp("release") / "output"
    return release(checkout, output, f"file://{output}/{module.name}-{module.version}.tar.gz")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bazel_flags(registry: Path) -> list[str]:
    """Returns Bazel's flags for a registry with the release, and for the usual sources of other modules."""
    flags = [*MODULE_FLAGS, *PLAIN_OUTPUT, f"--registry=file://{registry}", "--registry=https://bcr.bazel.build"]
    # Share the downloads of the Bazel that runs this test.
    downloaded = repository_cache()
    return flags + ([f"--repository_cache={downloaded}"] if downloaded else [])


def test_same_bytes_again_and_elsewhere(checkout: Path, registry: Path, tmp_path: Path) -> None:
    [archive] = registry.glob("*.tar.gz")
    url = f"file://{archive}"
    assert files_of(release(checkout, tmp_path / "again", url)) == files_of(registry)
    umask = os.umask(0o077)
    try:
        git(tmp_path, "clone", "--quiet", checkout, tmp_path / "elsewhere")
        assert files_of(release(tmp_path / "elsewhere", tmp_path / "there", url)) == files_of(registry)
    finally:
        os.umask(umask)


def test_nothing_needs_what_is_left_out(checkout: Path, registry: Path) -> None:
    """All labels in BUILD and .bzl files, except for visibility, refer to directories in the archive."""
    [archive] = registry.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        texts = {
            name.partition("/")[2]: tar.extractfile(name).read().decode()
            for name in tar.getnames()
            if name.endswith((".bazel", ".bzl"))
        }
        here = {name.split("/")[1] for name in tar.getnames()}
    left_out = {name.split(b"/")[0].decode() for name in git(checkout, "ls-files", "-z").split(b"\0")} - here - {""}
    assert left_out >= {".ci", "artifacts", "bench", "ic-os", "tests"}
    assert here >= {"defs", "dev", "doc", "examples", "third_party", "tools"}
    # In MODULE.bazel, development dependencies of the root; other modules don't read them.
    del texts["MODULE.bazel"]
    label = re.compile(rf'"//({"|".join(map(re.escape, sorted(left_out)))})[/:"](?![^"]*__(pkg|subpackages)__")')
    assert {name: found[0] for name, text in texts.items() if (found := label.search(text))} == {}


def test_the_product_is_left_out(registry: Path) -> None:
    """The archive has nothing of the GuestOS: neither its files, nor its deployments, nor the locks of its packages."""
    [archive] = registry.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        paths = [name.partition("/")[2] for name in tar.getnames()]
    product = re.compile(r"ic-os/|testnet/|artifacts/|third_party/(ubuntu/|debian/trixie\.)")
    assert [path for path in paths if product.match(path)] == []
    assert "third_party/debian/repositories.bzl" in paths


def test_images_of_a_module_that_depends_on_it(registry: Path, tmp_path: Path) -> None:
    """The module is declared as in the release notes."""
    snippet = re.search(r"```starlark\n(bazel_dep.*?)```", (registry / "release-notes.md").read_text(), re.DOTALL)
    assert snippet
    downstream = Workspace(tmp_path / "downstream", tmp_path / "bazel")
    downstream.folder.mkdir()
    (downstream.folder / "MODULE.bazel").write_text(f'module(name = "downstream")\n\n{snippet[1]}')
    (downstream.folder / "BUILD.bazel").write_text(BUILD)
    (downstream.folder / "layout.csv").write_text(LAYOUT)
    (downstream.folder / "hello.txt").write_text("hello\n")
    try:
        status, said = downstream.bazel("test", *bazel_flags(registry), "--test_output=errors", "//...")
        assert status == 0, said
        assert "3 tests pass" in said, said
        root = downstream.bazel("info", *MODULE_FLAGS, "output_base")[1].splitlines()[-1]
    finally:
        downstream.bazel("shutdown")
    # The canonical name of a module's repository ends in one of these.
    [sources] = Path(root, "external").glob("rules_icos[~+]")
    assert (sources / "MODULE.bazel").read_text() == (RULES / "MODULE.bazel").read_text()
    assert not sources.is_symlink()
    assert not (sources / "tests").exists()
