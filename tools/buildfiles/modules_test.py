import json

import pytest

from tools.buildfiles.modules import debian_repositories
from tools.buildfiles.values import Label
from tools.buildfiles.workspace import Workspace
from tools.core.errors import UserError
from tools.debian.manifest import read_manifest

MODULE = """
module(name = "m", version = "1")
bazel_dep(name = "other", version = "2")
pypi = use_extension("//third_party/python:extension.bzl", "pypi")
use_repo(pypi, "pypi")
debian = use_extension("//third_party/debian:extension.bzl", "debian")
debian.lock(name = "m_one", manifest = "//packages:one.toml")
debian.lock(name = "two", manifest = "//packages:two.toml")
debian.lock(name = "unused", manifest = "//packages:unused.toml")
use_repo(debian, "two", one = "m_one")
"""
MANIFEST = """
architectures = ["amd64"]
[archives.a]
mirrors = ["https://mirror.example/debian"]
snapshots = "https://snapshot.example/{time}"
suites = ["stable"]
components = ["main"]
keyring = "keyring.asc"
[sets.base]
essential = true
packages = ["xx", "yy"]
"""
PROVIDERS = """
DebianPackageInfo = provider(fields = {"architecture": "", "deb": "", "name": "", "version": ""})
DebianPackagesInfo = provider(fields = {"packages": "", "provided": ""})
"""


def package(name, sha256):
    path = f"pool/{name}_1_amd64.deb"
    keys = {
        "name": name,
        "version": "1",
        "architecture": "amd64",
        "archive": "a",
        "path": path,
        "sha256": sha256,
        "size": 1,
    }
    return {f"{name}_amd64": keys}


@pytest.fixture
def root(tmp_path):
    files = {
        "MODULE.bazel": MODULE,
        "packages/one.toml": MANIFEST,
        "defs/private/debian_providers.bzl": PROVIDERS,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    lock = {
        "format": 1,
        "manifest": read_manifest(tmp_path / "packages" / "one.toml").digest(),
        "archives": {"a": {"urls": ["https://mirror.example/debian", "https://snapshot.example/1"], "released": {}}},
        "sets": {"base": {"provided": ["p"], "packages": {"amd64": ["xx_amd64", "yy_amd64"]}}},
        "packages": package("xx", "a" * 64) | package("yy", "b" * 64),
    }
    (tmp_path / "packages" / "one.lock.json").write_text(json.dumps(lock))
    return tmp_path


def workspace(root):
    return Workspace(root, root / "out", repositories=debian_repositories(root, root / "downloads"))


def test_repositories_have_the_names_that_labels_have(root):
    assert sorted(debian_repositories(root, root / "downloads")) == ["one", "two"]


def test_a_set_gives_its_packages_and_how_to_download_them(root):
    building = workspace(root)
    target = building.analyze(Label.parse("@one//:base"))
    info = target[building.module(Label.parse("//defs/private:debian_providers.bzl"))["DebianPackagesInfo"]]
    assert [(each.name, each.version, each.architecture) for each in info.packages] == [
        ("xx", "1", "amd64"),
        ("yy", "1", "amd64"),
    ]
    assert info.provided == ["p"]
    assert [file.path for file in target.files()] == [
        f"{root}/downloads/{'a' * 64}/xx_1_amd64.deb",
        f"{root}/downloads/{'b' * 64}/yy_1_amd64.deb",
    ]
    action = building.actions[target.files()[0]]
    assert action.urls == (
        "https://mirror.example/debian/pool/xx_1_amd64.deb",
        "https://snapshot.example/1/pool/xx_1_amd64.deb",
    )
    assert action.sha256 == "a" * 64


def test_a_package_can_be_asked_for_by_its_name(root):
    (file,) = workspace(root).analyze(Label.parse("@one//packages:yy")).files()
    assert file.basename == "yy_1_amd64.deb"


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("@one//:none", r"@one//:none: is no set of .*one\.lock\.json; there are base"),
        ("@one//packages:z", r"@one//packages:z: is no package of .*one\.lock\.json"),
        ("@two//:base", r"two\.toml: "),
    ],
)
def test_what_is_not_locked_is_named(root, label, message):
    with pytest.raises(UserError, match=message):
        workspace(root).analyze(Label.parse(label))


def test_a_lock_that_is_out_of_step_is_refused(root):
    manifest = root / "packages" / "one.toml"
    manifest.write_text(MANIFEST.replace('"yy"', '"zz"'))
    with pytest.raises(UserError, match=r"out of step.*bazel run //packages:one\.lock"):
        workspace(root).analyze(Label.parse("@one//:base"))
