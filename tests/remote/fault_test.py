"""Tests that a build with a failing cache or remote execution gives the correct image, or an error."""

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.remote.bazel_client import Client, client, sha256_of
from tests.remote.figures import write_figures
from tests.remote.server import Server, server, sha256_in_name
from tests.remote.small_image import DATA_BYTES, DISK, SmallImage, write_small_image

CACHES = ["http-cache", "grpc-cache"]
LOCAL_GATE = "--strategy=Genrule=local"
TARGET = f"//:{DISK}"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> SmallImage:
    return write_small_image(tmp_path_factory.mktemp("small") / "module")


@pytest.fixture(scope="module")
def bazel(image: SmallImage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One client for all tests, since another one would need another Bazel server."""
    with client(image.folder, tmp_path_factory.mktemp("bazel") / "base") as made:
        yield made


@pytest.fixture(scope="module")
def right(image: SmallImage, bazel: Client) -> str:
    """The SHA-256 of the disk, built locally."""
    build = bazel.build(LOCAL_GATE, TARGET)
    assert build.status == 0, build.said
    return sha256_of(bazel.bin / DISK)


@pytest.fixture
def wiped(bazel: Client, image: SmallImage, right: str) -> Client:
    """The client without outputs."""
    image.open_gate()
    bazel.clean()
    return bazel


@contextlib.contextmanager
def at_the_gate(image: SmallImage, wiped: Client, *arguments: str) -> Iterator[Callable[[], object]]:
    """Starts a build and waits until it is at the gate; yields a function that opens it and returns the ended build."""
    image.close_gate()
    running = wiped.start(*arguments, TARGET)
    deadline = time.monotonic() + 120
    while not image.reached.exists():
        assert running.process.poll() is None, running.result().said
        assert time.monotonic() < deadline
        time.sleep(0.05)

    def go_on():
        image.open_gate()
        return running.result()

    try:
        yield go_on
    finally:
        image.open_gate()
        running.process.wait()


@pytest.mark.parametrize("kind", CACHES)
def test_cache_dies_in_mid_build(kind, image, wiped, right, tmp_path, artifacts):
    with server(kind, tmp_path / "store") as cache, at_the_gate(image, wiped, *cache.flags, LOCAL_GATE) as go_on:
        assert cache.stored()
        cache.kill()
        build = go_on()
    write_figures(artifacts, seconds=round(build.seconds, 1))
    assert build.status == 0, build.said
    assert sha256_of(wiped.bin / DISK) == right


@pytest.mark.parametrize("kind", CACHES)
def test_cache_dies_with_results_that_only_it_has(kind, image, wiped, right, tmp_path, artifacts):
    with server(kind, tmp_path / "store") as cache:
        assert wiped.build(*cache.flags, LOCAL_GATE, TARGET).status == 0
        wiped.clean()
        with at_the_gate(image, wiped, *cache.flags, LOCAL_GATE) as go_on:
            cache.kill()
            build = go_on()
    write_figures(artifacts, seconds=round(build.seconds, 1))
    assert build.status == 0, build.said
    assert sha256_of(wiped.bin / DISK) == right


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_cache_is_not_there(scheme, wiped, right, artifacts):
    build = wiped.build("--config=remote-cache", f"--remote_cache={scheme}://127.0.0.1:1", LOCAL_GATE, TARGET)
    write_figures(artifacts, seconds=round(build.seconds, 1))
    assert build.status == 0, build.said
    assert sha256_of(wiped.bin / DISK) == right


def damage(cache: Server) -> list[Path]:
    """Flips a bit in every blob that is or contains an image, and returns these blobs."""
    large = [path for path in cache.stored() if path.stat().st_size >= DATA_BYTES // 2]
    assert large
    for path in large:
        path.chmod(0o644)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte ^ 1]))
    return large


@pytest.mark.parametrize("kind", CACHES)
def test_damaged_blob(kind, wiped, right, tmp_path):
    """The error has the expected hash; after the blob is removed, it is built again."""
    with server(kind, tmp_path / "store") as cache:
        assert wiped.build(*cache.flags, LOCAL_GATE, TARGET).status == 0
        damaged = damage(cache)
        wiped.clean()
        build = wiped.build(*cache.flags, LOCAL_GATE, TARGET)
        assert build.status != 0
        named = re.findall(r"Expected digest '([0-9a-f]{64})/\d+' does not match received digest", build.said)
        assert set(named) & {sha256_in_name(path) for path in damaged}, build.said
        assert not (wiped.bin / DISK).exists()
        for path in damaged:
            path.unlink()
        build = wiped.build(*cache.flags, LOCAL_GATE, TARGET)
        assert build.status == 0, build.said
        assert sha256_of(wiped.bin / DISK) == right


def test_second_build_fetches_no_blob_again(wiped, tmp_path):
    """It only checks whether results still exist."""
    with server("http-cache", tmp_path / "store") as cache:
        flags = (*cache.flags, LOCAL_GATE, TARGET)
        assert wiped.build(*flags).status == 0
        wiped.clean()
        assert wiped.build(*flags).status == 0
        before = cache.traffic()["down"]
        assert before > DATA_BYTES
        assert wiped.build(*flags).status == 0
        assert cache.traffic()["down"] - before < 1 << 16


def test_changes_to_review_write_nothing(wiped, right, tmp_path):
    with server("http-cache", tmp_path / "store") as cache:
        assert cache.flags[0] == "--config=remote-cache"
        address = cache.flags[1:]
        build = wiped.build("--config=remote-cache-readonly", *address, LOCAL_GATE, TARGET)
        assert build.status == 0, build.said
        assert not cache.stored()
        wiped.clean()
        assert wiped.build("--config=remote-cache", *address, LOCAL_GATE, TARGET).status == 0
        before = cache.stored_bytes()
        assert before
        wiped.clean()
        build = wiped.build("--config=remote-cache-readonly", *address, LOCAL_GATE, TARGET)
        assert build.executed == {"local": 1}  # the gate, which is never cached
        assert sha256_of(wiped.bin / DISK) == right
        assert cache.stored_bytes() == before


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server("execution", tmp_path_factory.mktemp("executor") / "store", "--workers=2") as made:
        yield made


def test_worker_dies_in_mid_action(executor, image, wiped, right, artifacts):
    """Another worker runs its action."""
    with at_the_gate(image, wiped, *executor.flags, "--strategy=Genrule=remote") as go_on:
        (folder,) = [part for part in image.reached.read_text().split("/") if part.startswith("worker-")]
        executor.kill_child(folder)
        build = go_on()
    write_figures(artifacts, seconds=round(build.seconds, 1))
    assert build.status == 0, build.said
    assert build.runner_of("Genrule") == {"remote": 1}
    assert sha256_of(wiped.bin / DISK) == right


def test_execution_dies_in_mid_action(executor, image, wiped, right, artifacts):
    """The action and all later ones run locally."""
    with at_the_gate(image, wiped, *executor.flags, "--strategy=Genrule=remote") as go_on:
        executor.kill()
        build = go_on()
    write_figures(artifacts, seconds=round(build.seconds, 1))
    assert build.status == 0, build.said
    assert sha256_of(wiped.bin / DISK) == right
