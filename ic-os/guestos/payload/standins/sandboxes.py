"""The replica's side of the sandboxes, in which it runs the code of canisters.

The replica starts sandbox_launcher with a Unix socket as its descriptor 3, and has it start canister_sandbox the same
way. What a sandbox works with are descriptors that the replica passes to it: a file for the memory of the canister,
deleted as soon as it is open; shared memory; a checkpoint; and compiled code. The replica also counts the memory of its
sandboxes, as /proc shows it. guestos_tools/sandbox_programs.py has the two programs, and their side of the sockets.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import struct
import threading
import uuid
from pathlib import Path

from standins.problems import StandInError

LAUNCHER, SANDBOX = "sandbox_launcher", "canister_sandbox"

_ARGUMENTS = ("--embedder-config", "{}")
_SOCKET = 3
_SECONDS = 60
_SIZE = 4096

_STEPS = (
    "setting an option of its socket",
    "mapping the memory of the canister",
    "mapping shared memory",
    "mapping a checkpoint",
    "mapping compiled code",
    "allocating memory",
    "making memory executable",
    "reading its scheduling policy",
)
"""What a sandbox does, in this order; the first one has the number 1."""

_CHECKPOINT = b"canister"
_WORD = b"ic_stand"
_RESULTS = (0x4711, 0x1234)
"""Of the compiled code, and of code that the sandbox makes itself."""

_COMPILED = b"\xb8" + struct.pack("<I", _RESULTS[0]) + b"\xc3"
"""Machine code of a function that returns a number, for x86-64."""

_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+ +(.*)\n(?:(?!Rss:).*\n)*?Rss: +(\d+) kB$", re.MULTILINE)


class Sandboxes:
    """A launcher and one sandbox, which run until the replica ends."""

    def __init__(self, programs: Path, state_root: Path) -> None:
        """Starts nothing.

        Args:
            programs: folder with the two programs.
            state_root: folder of the replicated state.
        """
        self._programs = programs
        self._state_root = state_root
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._launcher = self._sandbox = 0

    def problems(self) -> list[str]:
        """Returns what does not work of the sandbox; starts it the first time."""
        with self._lock:
            try:
                if not self._launcher:
                    self._launcher = self._start_launcher()
                if not self._sandbox:
                    self._sandbox = self._start_sandbox()
                _check_memory(self._sandbox)
            except StandInError as error:
                return [str(error)]
            except OSError as error:
                return [f"{error.filename or SANDBOX}: {error.strerror}"]
        return []

    def _start_launcher(self) -> int:
        path = self._programs / LAUNCHER
        ours, theirs = socket.socketpair()
        with theirs:
            command = [os.fspath(path), *_ARGUMENTS]
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), _SOCKET)]
            process = os.posix_spawn(path, command, os.environ, file_actions=actions)
        ours.settimeout(_SECONDS)
        self._sockets.append(ours)
        return process

    def _start_sandbox(self) -> int:
        """Starts a sandbox, and has it use its files; returns its process ID."""
        ours, theirs = socket.socketpair()
        ours.settimeout(_SECONDS)
        with theirs:
            path = os.fsencode(self._programs / SANDBOX) + b"\0"
            (process,) = struct.unpack("<q", _ask(self._sockets[0], path, [theirs.fileno()], 8, LAUNCHER))
        if process < 0:
            raise StandInError(f"{LAUNCHER}: cannot start a process: {os.strerror(-process)}")
        self._sockets.append(ours)
        with contextlib.ExitStack() as stack:
            files = self._files(stack)
            step, error = struct.unpack("<qq", _ask(ours, b"\0", files, 16, SANDBOX))
            if step:
                raise StandInError(f"{SANDBOX}: {_STEPS[step - 1]}: {os.strerror(-error)}")
            memory, shared = os.pread(files[0], 8, 0), os.pread(files[1], 32, 0)
        if (memory, shared) != (_WORD, struct.pack("<8s8sQQ", _WORD, _CHECKPOINT, *_RESULTS)):
            raise StandInError(f"{SANDBOX}: wrote {memory!r} and {shared!r} to its memory")
        return process

    def _files(self, stack: contextlib.ExitStack) -> list[int]:
        """Returns the descriptors that a sandbox gets; the stack closes them."""
        deltas, compiled = self._state_root / "page_deltas", self._state_root / "tmp"
        checkpoint = self._state_root / "checkpoints" / "stand_in"
        for folder in (deltas, compiled, checkpoint.parent):
            folder.mkdir(exist_ok=True)
        checkpoint.write_bytes(_CHECKPOINT.ljust(_SIZE, b"\0"))
        code = compiled / str(uuid.uuid4())
        code.write_bytes(_COMPILED.ljust(_SIZE, b"\0"))
        memory = deltas / f"{uuid.uuid4()}.mem"
        files = [os.open(memory, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), os.memfd_create("stand_in")]
        for file in files:
            os.ftruncate(file, _SIZE)
        files += [os.open(path, os.O_RDONLY) for path in (checkpoint, code)]
        for file in files:
            stack.callback(os.close, file)
        memory.unlink()
        code.unlink()
        return files


def _ask(connection: socket.socket, data: bytes, files: list[int], size: int, program: str) -> bytes:
    """Sends a message with descriptors; returns the reply.

    Raises:
        StandInError: the program has ended, or does not reply.
    """
    try:
        socket.send_fds(connection, [data], files)
        reply = connection.recv(size, socket.MSG_WAITALL)
    except (BrokenPipeError, ConnectionResetError):
        reply = b""
    except OSError as error:
        raise StandInError(f"{program}: does not reply: {error.strerror or 'timed out'}") from error
    if len(reply) < size:
        raise StandInError(f"{program}: has ended")
    return reply


def _check_memory(process: int) -> None:
    """Counts the memory of a sandbox, as the replica does.

    Raises:
        StandInError: it has ended, or /proc doesn't have its memory.
        OSError: /proc cannot be read.
    """
    folder = Path("/proc") / str(process)
    status = (folder / "status").read_text()
    if "\nRssAnon:" not in status:
        raise StandInError(f"{SANDBOX}: has ended")
    mappings = _MAPPING.findall((folder / "smaps").read_text())
    for what, found in {
        "shared memory": [int(size) for name, size in mappings if name.startswith("/memfd:")],
        "memory of the canister": [int(size) for name, size in mappings if name.endswith(".mem (deleted)")],
    }.items():
        if sum(found) < _SIZE >> 10:
            raise StandInError(f"{folder}/smaps: has no {what}")
