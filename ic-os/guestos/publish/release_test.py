"""A release as it is: the images of prod and dev, published to WebDAV and S3, and downloaded by get-artifacts.sh.

Prod has keys that stand for those of a release. The program is started as `bazel run //ic-os/guestos:publish` does it.
"""

import gzip
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from bazel_run import bazel_run

from guestos_tools.artifacts_checkout import ArtifactsCheckout
from tools.testing import storage_servers
from tools.testing.oracles import ask

if "PUBLISH" not in os.environ:
    pytest.skip("needs images: bazel test //ic-os/guestos/publish:release_test", allow_module_level=True)

REVISION = "0123456789abcdef0123456789abcdef01234567"
SECONDS = 600
IMAGES = ("disk-img", "update-img")


@pytest.fixture(scope="module")
def hashes():
    """SHA-256 of what has to be downloaded, by variant and path."""
    files = [word.partition("=runfile:")[2] for word in os.environ["PUBLISH_ARGS"].split()]
    images = {variant: {} for variant in ("prod", "dev")}
    for file in map(Path, files):
        if file.suffix == ".gz":
            variant = "dev" if "dev" in file.parts else "prod"
            with gzip.open(file) as content:
                images[variant][f"guest-os/{file.stem}"] = hashlib.file_digest(content, "sha256").hexdigest()
    assert all(len(found) == len(IMAGES) for found in images.values())
    executables = {f"release/{path.name}": sha256(path) for path in Path(files[0]).iterdir()}
    return {variant: found | executables for variant, found in images.items()} | {"": executables}


def sha256(path):
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def publish(folder, address, **environment):
    words = [f"--to={address}", f"--revision={REVISION}", "--insecure"]
    values = {"no_proxy": "127.0.0.1"} | environment
    done = bazel_run("PUBLISH", *words, folder=folder, workspace=folder, environment=values)
    assert done.returncode == 0, done.stderr


def got(folder, url, images):
    """Downloads what a release has; returns SHA-256 by path."""
    checkout = ArtifactsCheckout(folder / "checkout")
    files = checkout.get(url, REVISION, SECONDS, GET_GUEST_OS=images, GET_CANISTERS="0")
    found = {name: sha256(path) for name, path in files.items()}
    subprocess.run(["rm", "-r", folder / "checkout"], check=True)
    return found


def test_webdav(hashes, tmp_path):
    stored = tmp_path / "stored" / "ic"
    stored.mkdir(parents=True)
    with storage_servers.webdav(tmp_path) as server:
        url = f"{server}/ic"
        publish(tmp_path, url)
        folders = [f"guest-os/{image}{variant}" for image in IMAGES for variant in ("", "-dev")]
        for folder in ("release", *folders):
            ask("sh", "-c", 'cd "$0" && sha256sum --check --strict SHA256SUMS', stored / REVISION / folder)
        for folder in folders:
            image = folder.removeprefix("guest-os/").removesuffix("-dev")
            names = ["SHA256SUMS", f"{image}.tar.gz", f"{image}.tar.zst"]
            assert sorted(os.listdir(stored / REVISION / folder)) == names
        assert got(tmp_path, url, "1") == hashes["prod"]
        assert got(tmp_path, url, "dev") == hashes["dev"]
        # The layout of later revisions.
        (stored / REVISION / "binaries").mkdir()
        (stored / REVISION / "release").rename(stored / REVISION / "binaries" / "x86_64-linux")
        assert got(tmp_path, url, "1") == hashes["prod"]


def test_s3(hashes, tmp_path):
    with storage_servers.s3("builds") as server:
        publish(tmp_path, "s3://builds/ic", AWS_ENDPOINT_URL=server, **storage_servers.S3_KEYS)
        for images, variant in (("1", "prod"), ("dev", "dev"), ("0", "")):
            assert got(tmp_path, f"{server}/builds/ic", images) == hashes[variant]
