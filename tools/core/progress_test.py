import io

from tools.core import progress as module
from tools.core.progress import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_is_shown_where_no_terminal_is():
    stream = io.StringIO()
    with progress("writing", 100, stream) as tell:
        tell(50)
    assert stream.getvalue() == ""


def test_terminal_shows_percents_and_is_cleared(monkeypatch):
    clock = iter(range(1, 100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    with progress("writing x", 4 << 20, stream) as tell:
        tell(1 << 20)
        tell(2 << 20)
    assert stream.getvalue() == "\rwriting x: 25 % of 4 MiB\x1b[K\rwriting x: 75 % of 4 MiB\x1b[K\r\x1b[K"


def test_without_a_total_terminal_shows_what_was_done(monkeypatch):
    clock = iter(range(1, 100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    with progress("receiving x", 0, stream) as tell:
        tell(3 << 20)
    assert stream.getvalue() == "\rreceiving x: 3 MiB\x1b[K\r\x1b[K"


def test_other_things_than_bytes_are_counted(monkeypatch):
    clock = iter(range(1, 100))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    stream = Terminal()
    with progress("installing", 8, stream, unit="steps") as tell:
        tell(2)
    assert stream.getvalue() == "\rinstalling: 25 % of 8 steps\x1b[K\r\x1b[K"
