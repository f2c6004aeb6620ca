"""What the scripts build is what Bazel builds, byte by byte."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from guestos_tools.download import sha256_of
from tools.image.compare import first_difference
from tools.image.rawfile import open_allocated
from tools.tar.image_file import open_image, open_member

if "DEBS" not in os.environ:
    pytest.skip("needs what Bazel built: bazel test //ic-os/guestos/scripts:same_bytes_test", allow_module_level=True)

# The script goes by where it really is, and so runs the checkout's own tools.
SCRIPTS = Path(os.path.realpath(__file__)).parent


def given(name):
    """Returns files that the test was given, by the variable that lists them."""
    return [Path.cwd().parent / word for word in dict.fromkeys(os.environ[name].split())]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a script with the packages that Bazel has already; wheels are downloaded."""
    cache = tmp_path_factory.mktemp("cache")
    for deb in given("DEBS"):
        folder = cache / "packages" / sha256_of(deb)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / deb.name).symlink_to(deb)
    executables = tmp_path_factory.mktemp("executables")
    for path in given("EXECUTABLES"):
        shutil.copyfile(path, executables / path.name)
    (version,) = given("VERSION")

    def run(script, *arguments):
        command = [SCRIPTS / script, "-v", version.read_text().strip(), "-x", executables, *arguments]
        environment = os.environ | {"ICOS_BUILD_CACHE": str(cache)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    return run


def same(left, right):
    return first_difference(left, right) is None


@pytest.mark.parametrize("variant", ["dev", "prod"])
def test_disk(run, tmp_path, variant):
    without = ["--without-update-keys"] if variant == "prod" else []
    run("build-disk-image.sh", "-t", variant, "-o", tmp_path / "disk.img", *without)
    disk = open_allocated(tmp_path / "disk.img")
    (archive,) = given(f"{variant}_DISK")
    assert disk.size == 50 << 30
    assert same(disk, open_image(archive))
    assert (tmp_path / "disk.img").stat().st_blocks * 512 < 2 * archive.stat().st_size


def test_upgrade_image_and_partitions(run, tmp_path):
    outputs = [tmp_path / name for name in ("update-img.tar", "root.img", "boot.img")]
    run("build-ubuntu.sh", "-o", outputs[0], "-r", outputs[1], "-b", outputs[2])
    (archive,) = given("dev_UPDATE")
    assert sha256_of(outputs[0]) == sha256_of(archive)
    for output in outputs[1:]:
        assert same(open_allocated(output), open_member(archive, output.name))


def test_compressed_upgrade_image(run, tmp_path):
    run("build-update-image.sh", "-f", "zstd", "-o", tmp_path / "update-img")
    (archive,) = given("dev_UPDATE_ZST")
    assert sha256_of(tmp_path / "update-img") == sha256_of(archive)


def test_upgrade_image_of_prod_with_and_without_keys(run, tmp_path):
    keys = SCRIPTS / "testdata"
    options = {
        "prod_UPDATE": ["--without-update-keys", "--unsigned"],
        "RELEASE_UPDATE": ["--update-key", keys / "release.pem", "--signing-key", keys / "release.key.pem"],
    }
    for name, more in options.items():
        run("build-ubuntu.sh", "-t", "prod", "-o", tmp_path / name, *more)
        (archive,) = given(name)
        assert sha256_of(tmp_path / name) == sha256_of(archive)
    assert sha256_of(tmp_path / "prod_UPDATE") != sha256_of(tmp_path / "RELEASE_UPDATE")


def test_upgrade_image_of_ubuntu(run, tmp_path):
    run("build-ubuntu.sh", "-d", "ubuntu", "-o", tmp_path / "update-img.tar")
    (archive,) = given("UBUNTU_UPDATE")
    assert sha256_of(tmp_path / "update-img.tar") == sha256_of(archive)


def test_a_password_changes_the_disk_and_nothing_else_does(run, tmp_path):
    for name, password in (("a", "secret"), ("b", "secret"), ("c", "root")):
        run("build-disk-image.sh", "-p", password, "-o", tmp_path / name)
    (archive,) = given("dev_DISK")
    disks = [open_allocated(tmp_path / name) for name in "abc"]
    assert same(disks[0], disks[1])
    assert not same(disks[0], disks[2])
    assert same(disks[2], open_image(archive))
