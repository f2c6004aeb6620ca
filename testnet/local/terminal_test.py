import os
import pty
import socket
import termios
import threading

import pytest

from testnet.local import terminal


@pytest.fixture
def attached():
    """A console that is attached to a keyboard and a screen: pipes, as the test's ends of them."""
    ours, theirs = socket.socketpair()
    typed, keyboard = os.pipe()
    screen, shown = os.pipe()
    thread = threading.Thread(target=terminal.attach, args=(theirs, typed, shown))
    thread.start()
    yield ours, keyboard, screen, thread
    ours.close()
    thread.join()
    for descriptor in (typed, keyboard, screen, shown):
        os.close(descriptor)
    theirs.close()


def test_both_ways_until_the_key(attached):
    console, keyboard, screen, thread = attached
    console.sendall(b"login: ")
    assert os.read(screen, 100) == b"login: "
    os.write(keyboard, b"root\n")
    assert console.recv(100) == b"root\n"
    os.write(keyboard, b"x\x1drest")
    thread.join()
    assert console.recv(100) == b"x"


def test_the_console_ends(attached):
    console, _, _, thread = attached
    console.shutdown(socket.SHUT_WR)
    thread.join()


def test_the_mode_of_the_terminal_is_restored():
    master, keyboard = pty.openpty()
    ours, theirs = socket.socketpair()
    before = termios.tcgetattr(keyboard)
    thread = threading.Thread(target=terminal.attach, args=(theirs, keyboard, keyboard))
    thread.start()
    ours.sendall(b"ready")
    assert os.read(master, 100) == b"ready"
    during = termios.tcgetattr(keyboard)
    assert not during[3] & (termios.ICANON | termios.ECHO)
    os.write(master, b"\x03")
    assert ours.recv(100) == b"\x03"
    ours.close()
    thread.join()
    assert termios.tcgetattr(keyboard) == before
    for descriptor in (master, keyboard):
        os.close(descriptor)
    theirs.close()
