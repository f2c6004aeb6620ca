import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.vm.console import Console, ConsoleError


@pytest.fixture
def ends() -> Iterator[tuple[Console, socket.socket]]:
    ours, theirs = socket.socketpair()
    console = Console(ours)
    yield console, theirs
    theirs.close()
    console.close()


def test_waits_for_text_that_comes_later(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends
    timer = threading.Timer(0.05, machine.sendall, [b"one\r\ntwo login: "])
    timer.start()
    assert console.expect(r"^two (\w+): ", 10)[1] == "login"
    timer.join()


def test_goes_on_after_the_last_match(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends
    machine.sendall(b"ready\nready\nlast\n")
    assert console.expect("ready", 10).start() == 0
    assert console.expect("ready", 10).start() == 6
    with pytest.raises(ConsoleError, match=r"no 'ready' within 0.01 s; it ended with:\n(.*\n)*last"):
        console.expect("ready", 0.01)


def test_a_match_may_come_in_pieces(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends

    def send() -> None:
        for byte in b"x" * 5000 + b"login:":
            machine.sendall(bytes([byte]))

    sender = threading.Thread(target=send)
    sender.start()
    console.expect("login:", 10)
    sender.join()


def test_the_end_of_the_machine_is_reported_at_once(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends
    machine.sendall(b"Kernel panic\n")
    machine.shutdown(socket.SHUT_WR)
    before = time.monotonic()
    with pytest.raises(ConsoleError, match=r"ended before it showed the prompt; it ended with:\nKernel panic$"):
        console.expect("login", 60, "the prompt")
    assert time.monotonic() - before < 30


def test_what_is_typed_arrives(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends
    console.write("root\n")
    assert machine.recv(100) == b"root\n"


def test_typing_to_a_machine_that_ended_is_an_error(ends: tuple[Console, socket.socket]) -> None:
    console, machine = ends
    machine.close()
    with pytest.raises(ConsoleError, match="cannot write"):
        console.write("x" * (1 << 24))


def test_the_log_gets_every_byte(tmp_path: Path) -> None:
    raw = b"\x1b[2J\xff\x00one\r\n"
    ours, theirs = socket.socketpair()
    with (tmp_path / "log").open("wb") as log:
        console = Console(ours, log)
        theirs.sendall(raw)
        console.expect("one", 10)
        assert (tmp_path / "log").read_bytes() == raw
        theirs.close()
        console.close()


_ESCAPES = [
    "\x1b[0;1;39m",
    "\x1b[2J",
    "\x1b[?25h",
    "\x1b(B",
    "\x1b7",
    "\x1bc",
    "\x1b]0;title\x07",
    "\x1bPq\x1b\\",
    "\r",
    "\0",
]


@settings(deadline=None, derandomize=True, max_examples=150)
@given(
    st.lists(st.sampled_from([*_ESCAPES, "a", "Z[", "é", "…", "𝄞", "\n", "0m"]), max_size=30),
    st.lists(st.integers(1, 7), min_size=1, max_size=20),
)
def test_control_sequences_are_taken_out_wherever_the_pieces_are_cut(parts: list[str], sizes: list[int]) -> None:
    ours, theirs = socket.socketpair()
    console = Console(ours)
    data = "".join(parts).encode() + b"END"
    index = turn = 0
    while index < len(data):
        size = sizes[turn % len(sizes)]
        theirs.sendall(data[index : index + size])
        index, turn = index + size, turn + 1
    theirs.shutdown(socket.SHUT_WR)
    console.expect("END", 10)
    assert console.text == "".join(part for part in parts if part not in _ESCAPES) + "END"
    theirs.close()
    console.close()
