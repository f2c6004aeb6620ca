"""What is said, and what is left, when there is no space for an image."""

import os
from collections.abc import Iterator

import pytest

from guestos_tools.download import sha256_of
from tests.remote.bazel_client import Client, client
from tests.remote.small_image import DATA_BYTES, write_small_image
from tools.testing.mounts import small_file_system

TARGET = "//:before"
IMAGE = "before.img.tar"


@pytest.fixture(scope="module")
def bazel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client with a disk of its own, and a small one beside it; the tools are built."""
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
    """The hash of the image; it's no longer built."""
    build = bazel.build(TARGET)
    assert build.status == 0, build.said
    sha256 = sha256_of(bazel.bin / IMAGE)
    (bazel.bin / IMAGE).unlink()
    return sha256


def test_tool_has_no_space(bazel, right):
    """The tool says so, in one line, with the file's name."""
    small = bazel.workspace.with_name("small")
    build = bazel.build(f"--sandbox_base={small}", TARGET)
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
    """Whoever notices it, nothing is taken for an image; with space again, the image is right."""
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
