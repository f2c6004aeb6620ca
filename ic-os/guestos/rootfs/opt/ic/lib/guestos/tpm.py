"""Keeps one number in the memory of the machine's TPM 2, where changes of the disk don't reach it.

The number is in the NV index HANDLE: 8 bytes, big-endian. Everybody who can talk to the TPM can read it. The owner can
write it, and has no password on these machines. It is an ordinary index: counters of a TPM go up by one only, and its
bit fields have 64 steps; both can be removed and defined anew by the owner, as this one.

Formats: Trusted Platform Module Library 2.0, revision 1.59: part 1, 18 and 19.4 (commands, authorization by a
password), part 2 (constants and structures), part 3, 31 (commands of NV storage). The kernel starts the TPM, sends
again what it is too busy for, and limits the time of a command. The initramfs sends the same TPM2_NV_Read.
"""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterator, Sequence

from guestos.errors import GuestError

HANDLE = 0x0181C001
"""The NV index, in the range for the owner of the machine (Registry of Reserved TPM 2.0 Handles, 2.2.2)."""

MOST = (1 << 32) - 1
"""The highest number. A larger one in the index is not ours."""

_SIZE = 8
_MOST_ANSWER = 4096

# The tag of commands with an authorization (part 2, 6.9), and the handles of the owner and of a password (part 2, 7.4).
_SESSIONS = 0x8002
_OWNER, _PASSWORD = 0x40000001, 0x40000009
# Commands (part 2, 6.5.2).
_NV_DEFINE_SPACE, _NV_WRITE, _NV_READ = 0x12A, 0x137, 0x14E
# Attributes of an index (part 2, 13.4): an ordinary one that the owner writes and that is read by its own, empty
# password. A wrong password elsewhere doesn't lock it.
_OWNER_WRITE, _AUTH_READ, _NO_DICTIONARY_ATTACK = 1 << 1, 1 << 18, 1 << 25
_ATTRIBUTES = _OWNER_WRITE | _AUTH_READ | _NO_DICTIONARY_ATTACK
_SHA_256 = 0x000B

# Response codes (part 2, 6.6); those of the second format have the number of a handle or parameter beside them.
_FORMAT_1, _FORMAT_1_CODE = 0x080, 0x0BF
_HANDLE, _UNINITIALIZED = 0x08B, 0x14A
_FOREIGN = f"the index {HANDLE:#010x} belongs to something else: remove it"
_PASSWORD_SET = f"its owner or the index {HANDLE:#010x} has a password: remove that password"
_MEANINGS = {
    0x085: "the firmware has disabled the owner's hierarchy",
    0x08E: _PASSWORD_SET,
    0x0A2: _PASSWORD_SET,
    0x101: "it has failed",
    0x12F: _FOREIGN,
    0x146: _FOREIGN,
    0x148: _FOREIGN,
    0x149: _FOREIGN,
    0x14B: "it has no memory left: remove an index that is not used",
    0x920: "it limits how often its memory is written: confirm later",
    0x923: "its memory cannot be written now: confirm later",
}


class TpmError(GuestError):
    """The TPM has refused a command. `code` is its response code, without the number of a handle or parameter."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def read(device: str) -> int:
    """Returns the number; 0 if there is no TPM 2, or it keeps no number.

    Args:
        device: of the TPM, with the kernel's resource manager, such as /dev/tpmrm0. Without a TPM 2 there is none.

    Raises:
        GuestError: the TPM cannot be used, refuses, or has something else in the index.
    """
    with _opened(device) as tpm:
        return (_read(tpm, device) or 0) if tpm is not None else 0


def keep(device: str, number: int) -> None:
    """Writes a number that is higher than the one in the TPM; does nothing if it is not, or there is no TPM 2.

    Args:
        device: see `read`.
        number: from 0 to MOST.

    Raises:
        GuestError: as for `read`.
    """
    with _opened(device) as tpm:
        if tpm is None or number <= ((kept := _read(tpm, device)) or 0):
            return
        if kept is None:
            _define(tpm, device)
        data = struct.pack(f">H{_SIZE}sH", _SIZE, number.to_bytes(_SIZE, "big"), 0)
        _send(tpm, device, "NV_Write", command(_NV_WRITE, (_OWNER, HANDLE), data))


@contextlib.contextmanager
def _opened(device: str) -> Iterator[int | None]:
    try:
        descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        raise GuestError(f"{device}: the TPM cannot be used: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_command() -> bytes:
    """Returns the command that reads the number."""
    return command(_NV_READ, (HANDLE, HANDLE), struct.pack(">HH", _SIZE, 0))


def _read(tpm: int, device: str) -> int | None:
    """Returns the number; 0 if the index was never written, None if it is not defined."""
    try:
        found = _send(tpm, device, "NV_Read", read_command())
    except TpmError as error:
        if error.code == _UNINITIALIZED:
            return 0
        if error.code == _HANDLE:
            return None
        raise
    size, data = found[:2], found[2:]
    number = int.from_bytes(data, "big")
    if int.from_bytes(size, "big") != _SIZE or len(data) != _SIZE or number > MOST:
        raise GuestError(f"{device}: the index {HANDLE:#010x} has {found.hex()}, which is not a number of ours")
    return number


def _define(tpm: int, device: str) -> None:
    public = struct.pack(">IHIHH", HANDLE, _SHA_256, _ATTRIBUTES, 0, _SIZE)
    no_password = struct.pack(">H", 0)
    parameters = no_password + struct.pack(">H", len(public)) + public
    _send(tpm, device, "NV_DefineSpace", command(_NV_DEFINE_SPACE, (_OWNER,), parameters))


def command(code: int, handles: Sequence[int], parameters: bytes) -> bytes:
    """Returns a command whose first handle is authorized by an empty password."""
    authorization = struct.pack(">IHBH", _PASSWORD, 0, 0, 0)
    body = struct.pack(f">{len(handles)}II", *handles, len(authorization)) + authorization + parameters
    return struct.pack(">HII", _SESSIONS, 10 + len(body), code) + body


def _send(tpm: int, device: str, name: str, data: bytes) -> bytes:
    """Sends a command; returns the parameters of the response."""
    try:
        os.write(tpm, data)
        answer = os.read(tpm, _MOST_ANSWER)
    except OSError as error:
        raise GuestError(f"{device}: the TPM does not answer {name}: {error.strerror}") from error
    if len(answer) < 10 or int.from_bytes(answer[2:6], "big") != len(answer):
        raise GuestError(f"{device}: the TPM answers {name} by {answer.hex() or 'nothing'}, which is no response")
    tag, _, code = struct.unpack_from(">HII", answer)
    if code:
        code = code & _FORMAT_1_CODE if code & _FORMAT_1 else code
        meaning = f": {_MEANINGS[code]}" if code in _MEANINGS else ""
        raise TpmError(f"{device}: the TPM refuses {name} with the code {code:#05x}{meaning}", code)
    end = 14 + int.from_bytes(answer[10:14], "big")
    if tag != _SESSIONS or len(answer) < 14 or end > len(answer):
        raise GuestError(f"{device}: the TPM answers {name} by {answer.hex()}, which is no response")
    return answer[14:end]
