"""Shows how far dpkg is, from the lines that it writes to the descriptor of --status-fd (dpkg(1))."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator

from tools.core.progress import progress

_STEPS = ("unpacked", "installed")


@contextlib.contextmanager
def dpkg_progress(packages: int) -> Iterator[int]:
    """Gives the descriptor for --status-fd, and shows on a terminal how much of the installation is done.

    Args:
        packages: how many packages are installed; each has two steps.
    """
    reader, writer = os.pipe()
    with (
        progress("installing packages", len(_STEPS) * packages, unit="steps") as tell,
        open(reader, encoding="utf-8", errors="replace") as lines,
    ):
        thread = threading.Thread(target=count_steps, args=(lines, tell))
        thread.start()
        try:
            yield writer
        finally:
            os.close(writer)
            thread.join()


def count_steps(lines: Iterable[str], tell: Callable[[int], None]) -> None:
    """Calls `tell(1)` for each package that is unpacked, and for each that is installed, the first time that it is."""
    seen = set()
    for line in lines:
        kind, _, rest = line.strip().partition(": ")
        package, _, state = rest.rpartition(": ")
        if kind == "status" and state in _STEPS and (package, state) not in seen:
            seen.add((package, state))
            tell(1)
