"""Programs of the reference payload that are no scripts: the sandboxes of canisters, and what launches them.

The replica starts sandbox_launcher with a Unix socket as descriptor 3. For each canister it sends another socket there,
with the path of canister_sandbox; the launcher starts that with this socket as descriptor 3, and replies with the
process ID. A sandbox gets its files from the replica by its socket alone, in one message: memory of the canister, which
both write to; shared memory; a checkpoint; and compiled code, which it runs. It also runs code that it makes itself, as
a compiler does. Then it replies with the number of the step that failed and the error, or with zeros; it ends when the
replica closes the socket. standins/sandboxes.py is the replica's side.

They are real executables, dynamically linked to the libraries that the programs of a release need, so that a system is
held to what those need: the rights to load them, and no interpreter among the rights of a sandbox.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Sequence

from guestos_tools.elf_program import DATA, TEXT, Code, elf_program

LIBRARIES = ("liblmdb.so.0", "libunwind.so.8", "libselinux.so.1", "libc.so.6")
"""What the programs of a release are linked to."""

OPTION = "--embedder-config"
"""The option that both programs have; its value is the next word."""

_WORD = int.from_bytes(b"ic_stand", "little")
"""What a sandbox writes at the start of the memory of its canister, and of the shared memory."""

_RESULT = 0x1234
"""Of the function that a sandbox makes itself."""

_NOTICE = b"stand-in of the reference payload; not a program of the Internet Computer; started by the replica alone\n"
_SOCKET = 3

# System calls of x86-64 (asm/unistd_64.h), and their constants.
_WRITE, _CLOSE, _MMAP, _MPROTECT, _SIGACTION, _DUP2, _RECVMSG, _SETSOCKOPT = 1, 3, 9, 10, 13, 33, 47, 54
_FORK, _EXECVE, _SCHED_GETSCHEDULER, _EXIT = 57, 59, 145, 231
_SIGCHLD, _SIG_IGN = 17, 1
_SOL_SOCKET, _SO_RCVTIMEO = 1, 20
_READ, _WRITABLE, _EXECUTABLE, _SHARED, _PRIVATE, _ANONYMOUS = 1, 2, 4, 1, 2, 0x20
_SIZE = 4096

# Memory of a program: struct msghdr, struct iovec, buffers for a message and its descriptors, a reply, a structure of
# constants for a system call.
_MESSAGE, _VECTOR, _CONTROLS, _REPLY, _CONSTANT, _BUFFER = (DATA + place for place in (0, 56, 80, 208, 224, 256))
_CONTROL_SIZE, _BUFFER_SIZE = 128, 4096
_MEMORY = 256 + _BUFFER_SIZE
_FIRST_DESCRIPTOR = 16
"""Behind the header of a message of descriptors (cmsg(3))."""


def _code() -> Code:
    """Returns code that ends with a message unless the command line has the option; rbp is where the line is."""
    code = Code()
    code.set("rbp", "rsp")
    for offset, base, expected in ((0, "rbp", 3), (16, "rbp", None), (0, "rbx", int.from_bytes(b"--embedd", "little"))):
        code.load("rbx", base, offset)
        if expected is not None:
            code.set("rax", expected)
            code.compare("rbx", "rax")
            code.jump("usage", "different")
    return code


def _receive(code: Code) -> None:
    """Receives a message; without one, the program ends. rbx is then where its descriptors are."""
    code.set("rbx", _MESSAGE)
    code.set("rax", _CONTROL_SIZE)
    code.store("rbx", 40, "rax")
    code.system_call(_RECVMSG, _SOCKET, _MESSAGE, 0)
    code.test("rax")
    code.jump("end", "equal")
    code.jump("end", "negative")
    code.set("rbx", _CONTROLS)


def _ends(code: Code) -> None:
    code.label("usage")
    code.system_call(_WRITE, 2, TEXT, len(_NOTICE))
    code.system_call(_EXIT, 2)
    code.label("end")
    code.system_call(_EXIT, 0)


def _program(code: Code, constant: bytes, needed: Sequence[str]) -> bytes:
    _ends(code)
    message = struct.pack("<QQQQQQQ", 0, 0, _VECTOR, 1, _CONTROLS, _CONTROL_SIZE, 0)
    vector = struct.pack("<QQ", _BUFFER, _BUFFER_SIZE)
    data = (message + vector).ljust(_CONSTANT - DATA, b"\0") + constant
    return elf_program(code.assembled(), _NOTICE, data, _MEMORY, needed)


def sandbox_launcher(needed: Sequence[str] = LIBRARIES) -> bytes:
    """Returns the executable sandbox_launcher.

    Args:
        needed: libraries that it is linked to.
    """
    code = _code()
    # The environment is behind the arguments.
    code.load("rbx", "rbp")
    code.set("r14", 16)
    for _ in range(8):
        code.add("r14", "rbx")
    code.add("r14", "rbp")
    # The kernel waits for the sandboxes, and the replica learns of their end by their sockets.
    code.system_call(_SIGACTION, _SIGCHLD, _CONSTANT, 0, 8)
    code.label("next")
    _receive(code)
    code.load_int("r13", "rbx", _FIRST_DESCRIPTOR)
    code.system_call(_FORK)
    code.test("rax")
    code.jump("child", "equal")
    code.set("rbx", _REPLY)
    code.store("rbx", 0, "rax")
    code.system_call(_CLOSE, "r13")
    code.system_call(_WRITE, _SOCKET, _REPLY, 8)
    code.jump("next")
    code.label("child")
    code.system_call(_DUP2, "r13", _SOCKET)
    # The arguments of the launcher are those of a sandbox, but for the path.
    code.set("rbx", _BUFFER)
    code.store("rbp", 8, "rbx")
    code.set("r12", 8)
    code.add("r12", "rbp")
    code.system_call(_EXECVE, _BUFFER, "r12", "r14")
    code.system_call(_EXIT, 127)
    return _program(code, struct.pack("<QQQQ", _SIG_IGN, 0, 0, 0), needed)


def canister_sandbox(needed: Sequence[str] = LIBRARIES) -> bytes:
    """Returns the executable canister_sandbox.

    Args:
        needed: libraries that it is linked to.
    """
    code = _code()
    steps = itertools.count(1)

    def step(number: int, *arguments: int | str) -> None:
        code.set("r15", next(steps))
        code.system_call(number, *arguments)
        code.test("rax")
        code.jump("failed", "negative")

    step(_SETSOCKOPT, _SOCKET, _SOL_SOCKET, _SO_RCVTIMEO, _CONSTANT, 16)
    _receive(code)
    for number, register in enumerate(("rbp", "r12", "r13", "r14")):
        code.load_int(register, "rbx", _FIRST_DESCRIPTOR + 4 * number)
    step(_MMAP, 0, _SIZE, _READ | _WRITABLE, _SHARED, "rbp", 0)
    code.set("rdx", _WORD)
    code.store("rax", 0, "rdx")
    step(_MMAP, 0, _SIZE, _READ | _WRITABLE, _SHARED, "r12", 0)
    code.set("r12", "rax")  # the address of the shared memory, from here on
    code.set("rdx", _WORD)
    _show(code, 0, "rdx")
    step(_MMAP, 0, _SIZE, _READ, _PRIVATE, "r13", 0)
    code.load("rdx", "rax")
    _show(code, 8, "rdx")
    step(_MMAP, 0, _SIZE, _READ | _EXECUTABLE, _PRIVATE, "r14", 0)
    code.call("rax")
    _show(code, 16, "rax")
    step(_MMAP, 0, _SIZE, _READ | _WRITABLE, _PRIVATE | _ANONYMOUS, -1, 0)
    code.set("r13", "rax")
    code.set("rdx", int.from_bytes(b"\xb8" + struct.pack("<I", _RESULT) + b"\xc3\0\0", "little"))
    code.store("r13", 0, "rdx")
    step(_MPROTECT, "r13", _SIZE, _READ | _EXECUTABLE)
    code.call("r13")
    _show(code, 24, "rax")
    step(_SCHED_GETSCHEDULER, 0)
    code.set("r15", 0)
    code.set("rax", 0)
    _reply(code)
    return _program(code, bytes(16), needed)


def _show(code: Code, offset: int, register: str) -> None:
    """Writes a register to the shared memory, whose address is in r12."""
    code.set("rbx", "r12")
    code.store("rbx", offset, register)


def _reply(code: Code) -> None:
    """Sends the step in r15 and the result of its system call in rax; waits for the end of the replica."""
    code.label("failed")
    code.set("rbx", _REPLY)
    code.store("rbx", 0, "r15")
    code.store("rbx", 8, "rax")
    code.system_call(_WRITE, _SOCKET, _REPLY, 16)
    code.label("wait")
    _receive(code)
    code.jump("wait")


SANDBOX_PROGRAMS: dict[str, Callable[[], bytes]] = {
    "canister_sandbox": canister_sandbox,
    "sandbox_launcher": sandbox_launcher,
}
"""The programs by name."""
