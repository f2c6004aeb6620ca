"""Progress on a terminal."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TextIO

_INTERVAL = 0.1
_MIB = 1 << 20


@contextlib.contextmanager
def progress(
    what: str, total: int, stream: TextIO | None = None, *, unit: str = "MiB"
) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with each number of bytes that is done, and shows on a terminal how far the work is.

    Nothing is shown where the stream is not a terminal. The line is gone at the end.

    Args:
        what: such as "compressing root.img".
        total: how many bytes there are to do; 0 if that is not known.
        stream: standard error if None.
        unit: what to call what is counted; MiB is for bytes.
    """
    output = sys.stderr if stream is None else stream
    if not output.isatty():
        yield lambda _count: None
        return
    done = 0
    shown = 0.0

    def tell(count: int) -> None:
        nonlocal done, shown
        done += count
        if (now := time.monotonic()) - shown >= _INTERVAL:
            shown = now
            scale = _MIB if unit == "MiB" else 1
            share = f"{100 * done // total} % of {total / scale:.0f}" if total else f"{done / scale:.0f}"
            output.write(f"\r{what}: {share} {unit}\x1b[K")
            output.flush()

    try:
        yield tell
    finally:
        output.write("\r\x1b[K")
        output.flush()
