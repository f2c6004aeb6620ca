import os
import threading

import pytest

from tools.core.parallel import MOST_THREADS, default_threads, ordered_map


@pytest.mark.parametrize("threads", [1, 2, 5, None])
def test_results_are_in_order(threads):
    turn = threading.Event()

    def slow_first(item):
        if item == 0 and threads != 1:
            turn.wait(10)
        turn.set()
        return item * item

    assert list(ordered_map(slow_first, range(50), threads)) == [item * item for item in range(50)]


def test_nothing_gives_nothing():
    assert list(ordered_map(str, [], 3)) == []


def test_few_items_are_taken_ahead():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    for done, _ in enumerate(ordered_map(str, items(), 4)):
        assert len(taken) <= done + 6


@pytest.mark.parametrize("threads", [1, 3])
def test_exception_arrives_at_its_turn(threads):
    results = ordered_map(lambda item: 1 // (3 - item), range(10), threads)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (64, MOST_THREADS), (None, 1)])
def test_a_system_without_affinities(monkeypatch, processors, threads):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert default_threads() == threads
