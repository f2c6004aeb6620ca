"""Builds the GuestOS with a remote cache and with remote execution: the same bytes, and no action run twice.

With the cache, no more is transferred than what is asked for and what is new, but for a few percent.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.downstream import RULES, copy_checkout
from tests.remote.bazel_client import Build, client, sha256_of
from tests.remote.figures import write_figures
from tests.remote.guestos import IMAGES, TARGETS
from tests.remote.server import Server, server, sha256_in_name
from tools.tar.image_file import open_image

SIGNING_KEY = RULES / "ic-os/guestos/update-keys/test-only.key.pem"
STAYS_HERE = {"UpgradeSignature"}
"""Mnemonics of the actions that must run locally."""

CHANGED = "ic-os/guestos/rootfs/etc/systemd/journald.conf.d/10-guestos.conf"
MOST_DOWN = 1.05
"""Most bytes that a machine without outputs takes from the cache, as a ratio to the outputs that are asked for."""

MOST_DOWN_AFTER_CHANGE = 1.2
"""The same for a machine that has the outputs from before a change, which someone else has built."""

MOST_UP_AFTER_CHANGE = 1.05
"""Most bytes that the build of a change stores, as a ratio to the outputs, which all change with it."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this checkout, in which a file can be changed."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_checkout(folder)
    return folder


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
    """The result of a build.

    Attributes:
        build: the build.
        base: Bazel's output base of the machine.
        hashes: of the outputs, by their paths.
        size: of the outputs, in bytes.
        disk: the size of the disk's archive, in bytes.
        data: size of the non-zero blocks of the disk in bytes.
    """

    build: Build
    base: Path
    hashes: dict[str, str]
    size: int
    disk: int
    data: int


def make(server: Server, checkout: Path, base: Path) -> Made:
    """Builds on a machine: a new one, without outputs and local cache, if the output base doesn't exist."""
    with client(checkout, base, *server.flags) as bazel:
        build = bazel.build(*TARGETS)
        assert build.status == 0, build.said
        disk = bazel.bin / IMAGES[0]
        size = sum((bazel.bin / name).stat().st_size for name in IMAGES)
        return Made(build, base, bazel.sha256(IMAGES), size, disk.stat().st_size, open_image(disk).data_size)


@pytest.fixture(scope="module")
def new_base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Returns paths of output bases that don't exist."""
    return lambda: tmp_path_factory.mktemp("bazel") / "base"


@pytest.fixture(scope="module")
def local(cache: Server, checkout: Path, new_base: Callable[[], Path]) -> Made:
    """The first build, which fills the cache."""
    return make(cache, checkout, new_base())


@pytest.fixture(scope="module")
def cached(cache: Server, local: Made, checkout: Path, new_base: Callable[[], Path]) -> tuple[Made, Counter[str]]:
    """The build of another machine, and what it transferred, in bytes."""
    before = cache.traffic()
    made = make(cache, checkout, new_base())
    return made, transferred(cache, before)


@pytest.fixture(scope="module")
def remote(executor: Server, checkout: Path, new_base: Callable[[], Path]) -> Made:
    """The first build on workers."""
    return make(executor, checkout, new_base())


def transferred(cache: Server, before: Counter[str]) -> Counter[str]:
    """Returns the bytes by direction since a measurement."""
    now = cache.traffic()
    return Counter({direction: now[direction] - before[direction] for direction in ("down", "up")})


def test_wiped_machine_takes_all_from_the_cache(cache, local, cached, artifacts):
    again, moved = cached
    write_figures(
        artifacts,
        seconds={"cold": round(local.build.seconds, 1), "warm": round(again.build.seconds, 1)},
        bytes={"outputs": local.size, "warm": moved},
        down=round(moved["down"] / local.size, 4),
        actions={"cold": local.build.runners, "warm": again.build.runners},
        stored=cache.stored_bytes(),
    )
    assert local.build.executed == local.build.runners
    assert again.build.runners
    assert again.build.executed == {}
    assert again.hashes == local.hashes
    assert moved["up"] == 0
    assert moved["down"] <= MOST_DOWN * local.size


def test_no_hole_is_stored(cache, local):
    """Blobs have hardly more than the data of the disk: the largest is its archive; the sum of all is limited, too."""
    assert local.disk <= 1.02 * local.data
    assert max(path.stat().st_size for path in cache.stored()) == local.disk
    assert cache.stored_bytes() <= 8 * local.data


def test_a_change_moves_what_is_new(cache, local, cached, checkout, artifacts):
    """One machine builds a change, and another one, which has the outputs from before it, takes them from the cache."""
    text = (checkout / CHANGED).read_text()
    before = cache.traffic()
    try:
        (checkout / CHANGED).write_text(f"{text}# changed\n")
        changed = make(cache, checkout, local.base)
        built, between = transferred(cache, before), cache.traffic()
        taken_over = make(cache, checkout, cached[0].base)
        taken = transferred(cache, between)
    finally:
        (checkout / CHANGED).write_text(text)
    write_figures(
        artifacts,
        seconds={"built": round(changed.build.seconds, 1), "taken over": round(taken_over.build.seconds, 1)},
        bytes={"outputs": changed.size, "built": built, "taken over": taken},
        up=round(built["up"] / changed.size, 4),
        down=round(taken["down"] / changed.size, 4),
        actions={"built": changed.build.runners, "taken over": taken_over.build.runners},
    )
    assert all(changed.hashes[name] != local.hashes[name] for name in IMAGES)
    assert taken_over.hashes == changed.hashes
    assert taken_over.build.executed == {}
    assert built["up"] <= MOST_UP_AFTER_CHANGE * changed.size
    assert taken["up"] == 0
    assert taken["down"] <= MOST_DOWN_AFTER_CHANGE * changed.size


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


def test_wiped_machine_takes_all_from_the_workers_cache(executor, remote, checkout, new_base, artifacts):
    again = make(executor, checkout, new_base())
    write_figures(
        artifacts, seconds=round(again.build.seconds, 1), actions=again.build.runners, stored=executor.stored_bytes()
    )
    assert again.build.runners
    assert again.build.executed == {}
    assert again.hashes == remote.hashes
