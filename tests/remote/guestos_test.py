"""Builds the GuestOS with a remote cache and with remote execution: the same bytes, and no action run twice."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.downstream import RULES
from tests.remote.bazel_client import Build, client, sha256_of
from tests.remote.figures import write_figures
from tests.remote.guestos import IMAGES, TARGETS
from tests.remote.server import Server, server, sha256_in_name
from tools.tar.image_file import open_image

SIGNING_KEY = RULES / "ic-os/guestos/update-keys/test-only.key.pem"
STAYS_HERE = {"UpgradeSignature"}
"""Mnemonics of the actions that must run locally."""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server("http-cache", tmp_path_factory.mktemp("cache") / "store") as made:
        yield made


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server("execution", tmp_path_factory.mktemp("executor") / "store") as made:
        yield made


@dataclass(frozen=True)
class Made:
    """The result of a machine without outputs and local cache.

    Attributes:
        build: the build.
        hashes: of the outputs, by their paths.
        disk: the size of the disk's archive, in bytes.
        data: size of the non-zero blocks of the disk in bytes.
    """

    build: Build
    hashes: dict[str, str]
    disk: int
    data: int


def make(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    with client(RULES, tmp_path_factory.mktemp("bazel") / "base", *server.flags) as bazel:
        build = bazel.build(*TARGETS)
        assert build.status == 0, build.said
        disk = bazel.bin / IMAGES[0]
        return Made(build, bazel.sha256(IMAGES), disk.stat().st_size, open_image(disk).data_size)


@pytest.fixture(scope="module")
def local(cache: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first build, which fills the cache."""
    return make(cache, tmp_path_factory)


@pytest.fixture(scope="module")
def remote(executor: Server, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The first build on workers."""
    return make(executor, tmp_path_factory)


def test_wiped_machine_takes_all_from_the_cache(cache, local, tmp_path_factory, artifacts):
    assert local.build.executed == local.build.runners
    before = cache.traffic()
    again = make(cache, tmp_path_factory)
    after = cache.traffic()
    write_figures(
        artifacts,
        seconds={"cold": round(local.build.seconds, 1), "warm": round(again.build.seconds, 1)},
        bytes={"cold": before, "warm": after - before},
        actions={"cold": local.build.runners, "warm": again.build.runners},
        stored=cache.stored_bytes(),
    )
    assert again.build.runners
    assert again.build.executed == {}
    assert again.hashes == local.hashes
    assert after["up"] == before["up"]


def test_no_hole_is_stored(cache, local):
    """Blobs have hardly more than the data of the disk: the largest is its archive; the sum of all is limited, too."""
    assert local.disk <= 1.02 * local.data
    assert max(path.stat().st_size for path in cache.stored()) == local.disk
    assert cache.stored_bytes() <= 8 * local.data


def test_workers_make_the_same_bytes(executor, local, remote, artifacts):
    by_runner = Counter((spawn["runner"], spawn["mnemonic"]) for spawn in remote.build.spawns)
    write_figures(
        artifacts,
        seconds=round(remote.build.seconds, 1),
        actions={f"{mnemonic}: {runner}": count for (runner, mnemonic), count in sorted(by_runner.items())},
    )
    assert {mnemonic for runner, mnemonic in by_runner if runner != "remote"} == STAYS_HERE
    assert remote.hashes == local.hashes


def test_no_private_key_leaves_the_machine(executor, remote):
    assert remote.build.spawns
    stored = {sha256_in_name(path) for path in executor.stored()}
    assert sha256_of(SIGNING_KEY.with_name("test-only.pem")) in stored
    assert sha256_of(SIGNING_KEY) not in stored


def test_wiped_machine_takes_all_from_the_workers_cache(executor, remote, tmp_path_factory, artifacts):
    again = make(executor, tmp_path_factory)
    write_figures(
        artifacts, seconds=round(again.build.seconds, 1), actions=again.build.runners, stored=executor.stored_bytes()
    )
    assert again.build.runners
    assert again.build.executed == {}
    assert again.hashes == remote.hashes
