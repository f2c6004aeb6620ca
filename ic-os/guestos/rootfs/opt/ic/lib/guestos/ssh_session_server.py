"""The service that runs a session of SSH outside of sshd's sandbox. `ssh_session` describes the protocol.

It is started as root, by systemd, for one connection.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import socket
import struct
import sys
import termios
from collections.abc import Collection, Sequence

from guestos.callers import ends_first
from guestos.errors import GuestError, UsageError

_FIRST_DESCRIPTOR = 3
"""At which systemd passes the connection (sd_listen_fds(3))."""
_STANDARD_FILES = (0, 1, 2)
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group ID (struct ucred in unix(7))."""
_COMMAND = b"SSH_ORIGINAL_COMMAND"
"""The variable in which sshd passes the client's command (sshd_config(5)); without a command it is not set."""
_MOST_BYTES = 1 << 18
_SECONDS = 30
"""For a request, which a caller sends at once."""
_CANNOT_START = 255


def serve(connection: socket.socket, accounts: Collection[str]) -> None:
    """Serves one request.

    Args:
        connection: from the caller.
        accounts: the accounts that may log in. No other one gets a session, since it is outside of all sandboxes.

    Raises:
        GuestError: the request is invalid or late, or its account may not log in. The caller gets no reply.
    """
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, uid, _ = _CREDENTIALS.unpack(peer)
    connection.settimeout(_SECONDS)
    try:
        request, files, flags, _ = socket.recv_fds(connection, _MOST_BYTES, len(_STANDARD_FILES))
    except TimeoutError:
        raise UsageError(f"user ID {uid} sent no request within {_SECONDS} s") from None
    connection.settimeout(None)
    if len(files) != len(_STANDARD_FILES) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        raise UsageError(f"a request has {len(files)} file descriptors, not 3, or more than {_MOST_BYTES} bytes")
    entries = [entry.partition(b"=") for entry in request.split(b"\0")]
    environment = {name: value for name, separator, value in entries if name and separator}
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        raise UsageError(f"user ID {uid} has no account") from None
    if account.pw_name not in accounts:
        raise UsageError(f"{account.pw_name} has no sessions of SSH")
    # When the machine shuts down, systemd sends them to all processes of the service, and the exit status is to reach
    # the caller. Handlers, unlike SIG_IGN, are not passed on to the shell.
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGHUP, lambda *_: None)
    # The end of the caller must reach the child before it is a session, too.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    child = os.fork()
    if child == 0:
        _start(account, environment, files)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    for descriptor in files:
        os.close(descriptor)
    if ends_first(child, connection):
        _reply(connection, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    else:
        _hang_up(child)


def _reply(connection: socket.socket, status: int) -> None:
    """Sends the exit status of a session, -N if signal N ended it, to a caller that may have ended in the meantime."""
    try:
        # A shell's convention for a process that a signal ended.
        connection.send(str(status if status >= 0 else 128 - status).encode())
    except OSError:
        return


def _start(account: pwd.struct_passwd, environment: dict[bytes, bytes], files: list[int]) -> None:
    """Makes this process the shell of a session; does not return."""
    try:
        os.setsid()
        for number, descriptor in zip(_STANDARD_FILES, files, strict=True):
            os.dup2(descriptor, number)
        os.closerange(_FIRST_DESCRIPTOR, max(files) + 1)
        _take_terminal(account.pw_uid)
        _become(account)
        try:
            os.chdir(account.pw_dir)
        except OSError as error:
            print(f"ssh-session: {account.pw_dir}: {error.strerror}", file=sys.stderr, flush=True)
            os.chdir("/")
        # Python ignores them.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        shell = account.pw_shell or "/bin/sh"
        name, command = os.fsencode(os.path.basename(shell)), environment.pop(_COMMAND, None)
        os.execve(shell, [b"-" + name] if command is None else [name, b"-c", command], environment)
    except OSError as error:
        print(f"error: ssh-session: {account.pw_name}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(_CANNOT_START)


def _take_terminal(uid: int) -> None:
    """Makes the terminal at standard input, if there is one, that of this process's session.

    sshd's process has it until then; the kernel permits root to take it (ioctl_tty(2)). An account passes only
    terminals of its own: sshd makes the account the owner.
    """
    if os.isatty(0) and os.fstat(0).st_uid == uid:
        fcntl.ioctl(0, termios.TIOCSCTTY, 1)


def _become(account: pwd.struct_passwd) -> None:
    """Gives this process the rights of an account, and no others."""
    _log_in(account.pw_uid)
    os.initgroups(account.pw_name, account.pw_gid)
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)


def _log_in(uid: int) -> None:
    """Sets the account in the kernel's audit messages of this process, as pam_loginuid(8) does."""
    try:
        file = os.open("/proc/self/loginuid", os.O_WRONLY)
    except FileNotFoundError:
        # A kernel without audit messages.
        return
    os.write(file, str(uid).encode())
    os.close(file)


def _hang_up(pid: int) -> None:
    """Sends SIGHUP to a session; nobody has waited for the child yet, so the process ID is still its own."""
    try:
        os.killpg(pid, signal.SIGHUP)
    except ProcessLookupError:
        os.kill(pid, signal.SIGHUP)


def main(accounts: Sequence[str] | None = None) -> int:
    """Serves the connection that systemd passed; returns the exit status.

    Args:
        accounts: the accounts that may log in; by default the arguments of the program.
    """
    try:
        with socket.socket(fileno=_FIRST_DESCRIPTOR) as connection:
            serve(connection, sys.argv[1:] if accounts is None else accounts)
    except GuestError as error:
        print(f"<3>ssh-session: {error}", flush=True)
        return error.status
    return 0
