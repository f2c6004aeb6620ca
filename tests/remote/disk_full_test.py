"""Tests errors and outputs if there is no space for an image."""

import os
from collections.abc import Iterator

import pytest

from tests.remote.bazel_client import Client, client, sha256_of
from tests.remote.small_image import DATA_BYTES, write_small_image
from tools.testing.mounts import small_file_system

TARGET = "//:before"
IMAGE = "before.img.tar"


@pytest.fixture(scope="module")
def bazel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client with its own file system, and with another small one; the tools are built."""
    folder = tmp_path_factory.mktemp("disk-full")
    image = write_small_image(folder / "module")
    with (
        small_file_system(folder / "small", "4M"),
        small_file_system(folder / "disk", "1G"),
        client(image.folder, folder / "disk" / "base") as made,
    ):
        build = made.build(TARGET)
        assert build.status == 0, build.said
        yield made


@pytest.fixture
def right(bazel: Client) -> str:
    """The SHA-256 of the image, which is removed again."""
    build = bazel.build(TARGET)
    assert build.status == 0, build.said
    sha256 = sha256_of(bazel.bin / IMAGE)
    (bazel.bin / IMAGE).unlink()
    return sha256


def test_tool_has_no_space(bazel, right):
    """The tool prints a one-line error with the name of the file."""
    small = bazel.workspace.with_name("small")
    build = bazel.build("--spawn_strategy=sandboxed", f"--sandbox_base={small}", TARGET)  # not in a worker
    assert build.status != 0
    said = build.said.splitlines()
    assert [
        line
        for line in said
        if line.startswith("error: ") and line.endswith(f"/{IMAGE}: cannot be written: No space left on device")
    ], build.said
    assert "Traceback" not in build.said
    assert not (bazel.bin / IMAGE).exists()
    assert not [file for _, _, files in os.walk(small) for file in files if file.endswith(".tmp")]


def test_disk_is_full(bazel, right):
    """Whether the tool or Bazel detects it, there is no image; with enough space again, the image is correct."""
    disk = bazel.output_base.parent
    ballast = disk / "ballast"
    state = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, state.f_bavail * state.f_frsize - DATA_BYTES // 2)
    build = bazel.build(TARGET)
    assert build.status != 0
    assert "No space left on device" in build.said
    assert "Traceback" not in build.said
    assert not (bazel.bin / IMAGE).exists()
    ballast.unlink()
    build = bazel.build(TARGET)
    assert build.status == 0, build.said
    assert sha256_of(bazel.bin / IMAGE) == right
