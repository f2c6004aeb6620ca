"""Reads a fixed number of generated inputs of each target, and tests that the runner notices defects."""

import contextlib
import random

import pytest

from tests.fuzz import fuzz
from tests.fuzz.fuzz import TARGETS, Arguments, Corpus
from tests.fuzz.target import Target, mutated
from tools.core.errors import CheckError, UserError

RUNS = 60


@pytest.mark.parametrize("name", TARGETS)
def test_generated_inputs_are_read_or_refused(name, tmp_path):
    arguments = Arguments(target=name, runs=RUNS, timeout=30)
    assert fuzz.fuzz(name, arguments, Corpus(None), tmp_path) == RUNS


@pytest.mark.parametrize("name", TARGETS)
def test_some_inputs_are_valid(name, tmp_path):
    """So the generators reach what comes after the first checks."""
    path = tmp_path / "input"
    for seed in range(RUNS * 5):
        path.write_bytes(TARGETS[name].make(random.Random(str(seed))))
        with contextlib.suppress(*TARGETS[name].refuses):
            TARGETS[name].read(path)
            return
    pytest.fail(f"all inputs of {name} are refused")


@pytest.mark.parametrize("name", TARGETS)
def test_inputs_depend_on_the_seed_alone(name):
    assert TARGETS[name].make(random.Random("1")) == TARGETS[name].make(random.Random("1"))
    assert len({TARGETS[name].make(random.Random(str(seed))) for seed in range(30)}) > 5


def use(monkeypatch, read):
    def make(chance):
        return b"%d" % chance.randrange(10)

    monkeypatch.setitem(TARGETS, "sample", Target(make, read, (UserError,)))


def take_memory(_path):
    bytearray(200 << 20)


def take_time(_path):
    while True:
        pass


def fail(path):
    if path.read_bytes() == b"7":
        raise KeyError(7)


@pytest.mark.parametrize(
    ("read", "message"), [(take_memory, "MemoryError"), (take_time, "took too long"), (fail, r"KeyError\(7\)")]
)
def test_defects_are_noticed_and_kept(monkeypatch, tmp_path, read, message):
    use(monkeypatch, read)
    arguments = Arguments(target="sample", runs=200, timeout=0.2, corpus=str(tmp_path))
    with pytest.raises(CheckError, match=rf"^sample: run \d+ of seed 0: .*{message}.*; see {tmp_path}/sample/failure-"):
        fuzz.main(arguments)
    (kept,) = (tmp_path / "sample").glob("failure-*")
    assert read is not fail or kept.read_bytes() == b"7"


def test_inputs_with_new_outcomes_are_kept_and_used_again(monkeypatch, tmp_path):
    seen = []

    def read(path):
        seen.append(path.read_bytes())
        if seen[-1] > b"5":
            raise UserError(f"'{seen[-1].hex()}' is too large")

    use(monkeypatch, read)
    fuzz.main(Arguments(target="sample", runs=50, corpus=str(tmp_path)))
    kept = {path.read_bytes() for path in (tmp_path / "sample").glob("input-*")}
    assert len(kept) == 2
    seen.clear()
    fuzz.main(Arguments(target="sample", runs=2, corpus=str(tmp_path)))
    assert set(seen) == kept


def test_a_target_must_exist():
    with pytest.raises(UserError, match=r"^none: is no target; there are .*ext4.*, and all"):
        fuzz.main(Arguments(target="none"))


def test_mutations_of_nothing_are_nothing():
    assert {mutated(random.Random(seed), b"") for seed in range(50)} == {b""}
