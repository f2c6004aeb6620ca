"""Writes packages without compression, in threads, ahead of the program that reads them."""

from __future__ import annotations

import resource
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tools.debian.deb import Deb

THREADS = 2
"""Bazel reserves as many processors for the action (`cpu` in defs/private/resources.bzl)."""

_LARGE = 20
"""A package is large if it has this part of the bytes of all."""

_OTHER_FILES = 256
"""Number of file descriptors that are needed besides those of the packages."""


def permit_open(packages: int) -> None:
    """Raises this process's limit of open files, as far as that many open packages need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = packages + _OTHER_FILES
    if soft < needed <= hard:  # no more, since some programs close each descriptor that they might have
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _order(debs: Mapping[str, Deb], first: Collection[str]) -> list[str]:
    """Returns the names with the first ones in front, then those of large packages.

    A large one takes a thread as long as many others, and all others would be written before it.
    """
    large = sum(deb.size for deb in debs.values()) / _LARGE
    return sorted(debs, key=lambda name: (name not in first, debs[name].size <= large))


@contextmanager
def expanded(debs: Mapping[str, Deb], first: Collection[str], folder: str) -> Iterator[Callable[[str], str]]:
    """Yields a function that takes a package's name, waits until the package is written, and returns its file's path.

    At the end, what is not written yet is left out.

    Args:
        debs: open packages by name, in the order in which they are needed.
        first: names of packages that are needed before all others.
        folder: existing directory for the files.

    Raises:
        UserError: from the function, if the package's data is damaged.
        OSError: from the function, if it can't be written.
    """

    def write(name: str) -> str:
        path = f"{folder}/{name}.deb"
        debs[name].write_uncompressed(path)
        return path

    threads = ThreadPoolExecutor(THREADS)
    try:
        written = {name: threads.submit(write, name) for name in _order(debs, first)}
        yield lambda name: written[name].result()
    finally:
        threads.shutdown(cancel_futures=True)
