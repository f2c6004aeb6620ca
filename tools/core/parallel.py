"""Work spread over threads, with results in order and a bound on what waits in memory."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_In = TypeVar("_In")
_Out = TypeVar("_Out")

MOST_THREADS = 4
"""The default's upper bound: what Bazel reserves for such an action (`cpu` in defs/private/resources.bzl). Each thread
holds a piece of the input, its result and its own tables in memory."""


def default_threads() -> int:
    """Returns how many processors this process may use, up to `MOST_THREADS`."""
    # Not every system has affinities; macOS hasn't.
    known = getattr(os, "sched_getaffinity", None)
    return min(len(known(0)) if known else os.cpu_count() or 1, MOST_THREADS)


def ordered_map(function: Callable[[_In], _Out], items: Iterable[_In], threads: int | None = None) -> Iterator[_Out]:
    """Yields `function(item)` for each item, in the order of the items.

    Worth it only for functions that release the interpreter lock (hashes, compressors). Items are taken from the
    caller's thread, and no more of them than are at work and one that waits, so that memory stays bounded.

    Args:
        function: what to do; its exceptions are raised here, at its item's turn.
        items: what to do it with.
        threads: how many work at once; the default is one for each processor. With 1, all is done in this thread.
    """
    count = default_threads() if threads is None else threads
    if count == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[_Out]] = deque()
    with ThreadPoolExecutor(count) as executor:
        try:
            for item in items:
                waiting.append(executor.submit(function, item))
                if len(waiting) > count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
