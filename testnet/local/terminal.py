"""Connects this terminal to a machine's serial console."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import sys
import termios
import tty
from collections.abc import Iterator

_END = b"\x1d"
"""Ctrl-], as in telnet."""

_SIZE = 1 << 12


def attach(connection: socket.socket, keyboard: int | None = None, screen: int | None = None) -> None:
    """Hands what is typed to a console, and its output to the screen, until Ctrl-], the end of input, or its end.

    Args:
        connection: to the console.
        keyboard: descriptor to read from; standard input by default.
        screen: descriptor to write to; standard output by default.
    """
    keyboard = sys.stdin.fileno() if keyboard is None else keyboard
    screen = sys.stdout.fileno() if screen is None else screen
    with _raw(keyboard):
        while True:
            ready, _, _ = select.select([connection, keyboard], [], [])
            if connection in ready:
                data = connection.recv(_SIZE)
                if not data:
                    return
                os.write(screen, data)
            if keyboard in ready:
                typed = os.read(keyboard, _SIZE)
                before, end, _ = typed.partition(_END)
                connection.sendall(before)
                if end or not typed:
                    return


@contextlib.contextmanager
def _raw(terminal: int) -> Iterator[None]:
    """Lets every key through, if the descriptor is a terminal; restores its mode at the end."""
    if not os.isatty(terminal):
        yield
        return
    mode = termios.tcgetattr(terminal)
    try:
        tty.setraw(terminal)
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, mode)
