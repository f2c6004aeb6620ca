"""Has a session of SSH run outside of sshd's sandbox: what sshd starts instead of a shell or a command.

ssh.service has NoNewPrivileges=, a mount namespace and a filter of system calls, and all its processes keep them: sudo
has no effect there. So sshd starts run-ssh-session.py for each session (ForceCommand in its configuration), which
connects to a socket. For each connection systemd starts ssh-session@.service, which is outside of the sandbox: it
becomes the account that connected, and starts its shell (`ssh_session_server`).

The connection has packets (SOCK_SEQPACKET). The request is the environment of the session, entries that are separated
by zero bytes, with three file descriptors: standard input, output and error of the shell. They are those that sshd
made, a terminal or pipes, so no data passes through these programs. The account is that of the caller's process, as the
kernel reports it (SO_PEERCRED in unix(7)). The reply is the exit status in decimal digits. If the caller ends before
that, the session gets SIGHUP.

Every login waits for the start of this program and of the server: they import little, without `socket` half as much.
"""

from __future__ import annotations

import _socket
import os
import struct
import sys

from guestos.errors import GuestError

SOCKET = "/run/ssh-session/socket"

_STANDARD_FILES = struct.pack("3i", 0, 1, 2)
_OF_THE_FIRST_SHELL = (b"SHLVL", b"PWD", b"OLDPWD", b"_")
"""Variables of the shell that sshd runs ForceCommand by; the shell of the session sets its own."""
_REPLY_BYTES = 16
_FAILED = 255
"""The exit status of ssh(1) for its own errors."""


def call(environment: dict[bytes, bytes], path: str = SOCKET) -> int:
    """Has a session run with the standard files of this process; returns its exit status.

    Args:
        environment: of the session, with the command, if there is one.
        path: of the socket.

    Raises:
        GuestError: the service cannot be reached, or ended before the session.
    """
    kept = (b"%s=%s" % entry for entry in environment.items() if entry[0] not in _OF_THE_FIRST_SHELL)
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        connection.connect(path)
        connection.sendmsg([b"\0".join(kept)], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _STANDARD_FILES)])
        reply = connection.recv(_REPLY_BYTES)
    except OSError as error:
        raise GuestError(f"{path}: cannot be used: {error.strerror}; see the journal") from error
    finally:
        connection.close()
    if not reply.isdigit():
        raise GuestError("the session ended without an exit status; see the journal")
    return int(reply)


def main(path: str = SOCKET) -> int:
    """Runs the program that sshd starts for each session; returns the exit status."""
    try:
        return call(dict(os.environb), path)
    except GuestError as error:
        print(f"error: ssh-session: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        # Until the session has the terminal, its keys send signals to this process.
        print("error: ssh-session: interrupted", file=sys.stderr)
    return _FAILED
