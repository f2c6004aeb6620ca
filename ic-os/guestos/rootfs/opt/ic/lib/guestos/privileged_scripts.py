"""Runs scripts through sudo for a service that may not run sudo itself.

The orchestrator's service has NoNewPrivileges=, a mount namespace and a filter of system calls, and all its processes
keep them: sudo has no effect there. So systemd starts another service, privileged-scripts@.service, for each
connection to a socket. It runs as the orchestrator's account, too, outside of that sandbox, and does one thing: it
runs sudo, whose rules in /etc/sudoers.d/guestos say what is permitted.

The connection has packets (SOCK_SEQPACKET). The request is a JSON list of the script's path and its arguments, with
three file descriptors: standard input, output and error of the script. The reply is its exit status, in decimal digits.
If the caller ends before that, the service ends, and systemd ends the script with it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from guestos.callers import ends_first
from guestos.errors import GuestError, UsageError

SOCKET = "/run/ic-node/privileged-scripts/socket"

_FIRST_DESCRIPTOR = 3
"""At which systemd passes the connection (sd_listen_fds(3))."""
_STANDARD_FILES = (0, 1, 2)
_IGNORED = ("-n", "--non-interactive", "--")
"""Options of sudo that ask for what holds in any case."""
_MOST_BYTES = 1 << 16
_GRACE_SECONDS = 10
"""How long a caller waits for the exit status after SIGTERM. The reboot that upgrade-commit asks for ends the caller's
service at once; without the exit status it would take the commit for failed."""


def call(script: str, arguments: Sequence[str], path: str = SOCKET) -> int:
    """Has a script run by root, with the standard files of this process; returns its exit status.

    SIGTERM does not end this process any more; SIGALRM does, some seconds later.

    Args:
        script: absolute path of the script.
        arguments: its arguments.
        path: of the socket.

    Raises:
        GuestError: the service cannot be reached, or ended before the script.
    """
    request = json.dumps([script, *arguments]).encode()
    if len(request) > _MOST_BYTES:
        raise UsageError(f"{script}: the arguments are too long")
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
            signal.signal(signal.SIGTERM, lambda *_: signal.alarm(_GRACE_SECONDS))
            socket.send_fds(connection, [request], _STANDARD_FILES)
            reply = connection.recv(_MOST_BYTES)
    except OSError as error:
        raise GuestError(f"{script} needs root, and {path} cannot be used: {error.strerror}") from error
    if not reply.isdigit():
        raise GuestError(f"{script}: was ended before its exit status was known; see the journal")
    return int(reply)


def sudo_main(words: Sequence[str], path: str = SOCKET) -> int:
    """Runs the program that takes the place of sudo in the orchestrator's service; returns the exit status.

    Args:
        words: of the command line, without the program: a script and its arguments.
        path: of the socket.
    """
    words = list(words)
    while words and words[0] in _IGNORED:
        del words[0]
    try:
        if not words or words[0].startswith("-"):
            raise UsageError(f"only a command and its arguments are supported, not {' '.join(words) or 'nothing'}")
        return call(words[0], words[1:], path)
    except GuestError as error:
        print(f"sudo: {error}", file=sys.stderr)
        return 1


def serve(connection: socket.socket, sudo: str) -> None:
    """Serves one request.

    Args:
        connection: from the caller.
        sudo: path of sudo.

    Raises:
        GuestError: the request is invalid, or sudo cannot be run. The caller gets no reply.
    """
    # systemd sends it to all processes of the service, and the exit status must reach the caller. A handler, unlike
    # SIG_IGN, is not passed on to sudo.
    signal.signal(signal.SIGTERM, lambda *_: None)
    request, files, flags, _ = socket.recv_fds(connection, _MOST_BYTES, len(_STANDARD_FILES))
    try:
        command = _command(request, len(files), flags)
        process = subprocess.Popen(
            [sudo, "--non-interactive", "--", *command], stdin=files[0], stdout=files[1], stderr=files[2]
        )
    except OSError as error:
        raise GuestError(f"{sudo}: cannot be run: {error.strerror}") from error
    finally:
        for descriptor in files:
            os.close(descriptor)
    status = _wait(process, connection)
    if status is not None:
        connection.send(str(status).encode())


def _command(request: bytes, files: int, flags: int) -> list[str]:
    """Returns the words of a request.

    Raises:
        UsageError: it is invalid.
    """
    try:
        words = json.loads(request)
    except ValueError as error:
        raise UsageError("a request is not JSON") from error
    if not isinstance(words, list) or not words or any(not isinstance(word, str) or "\0" in word for word in words):
        raise UsageError("a request is not a list of words")
    if files != len(_STANDARD_FILES) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise UsageError(f"a request has {files} file descriptors, not 3, or more than {_MOST_BYTES} bytes")
    return words


def _wait(process: subprocess.Popen[bytes], connection: socket.socket) -> int | None:
    """Waits for the end of a process; returns its exit status, or None if the caller ended before it."""
    if not ends_first(process.pid, connection):
        return None
    # A shell's convention for a process that a signal ended.
    return process.wait() if process.wait() >= 0 else 128 - process.wait()


def main(sudo: str) -> int:
    """Serves the connection that systemd passed; returns the exit status."""
    try:
        with socket.socket(fileno=_FIRST_DESCRIPTOR) as connection:
            serve(connection, sudo)
    except GuestError as error:
        print(f"<3>privileged-scripts: {error}", flush=True)
        return error.status
    return 0
