"""Shows the progress of dpkg, from the status lines that it writes with --status-fd (dpkg(1))."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator

from tools.core.progress import progress

_STEPS = ("unpacked", "installed")


@contextlib.contextmanager
def dpkg_progress(packages: int) -> Iterator[int]:
    """Yields a file descriptor for --status-fd, and shows the progress of the installation on a terminal.

    Args:
        packages: number of packages to install; each counts as two steps.
    """
    reader, writer = os.pipe()
    with (
        progress("installing packages", len(_STEPS) * packages, unit="steps") as advance,
        open(reader, encoding="utf-8", errors="replace") as lines,
    ):
        thread = threading.Thread(target=count_steps, args=(lines, advance))
        thread.start()
        try:
            yield writer
        finally:
            os.close(writer)
            thread.join()


def count_steps(lines: Iterable[str], advance: Callable[[int], None]) -> None:
    """Calls `advance(1)` when a package is first reported as unpacked, and when it is first reported as installed."""
    seen = set()
    for line in lines:
        kind, _, rest = line.strip().partition(": ")
        package, _, state = rest.rpartition(": ")
        if kind == "status" and state in _STEPS and (package, state) not in seen:
            seen.add((package, state))
            advance(1)
