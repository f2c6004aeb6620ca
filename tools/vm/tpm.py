"""Emulates a TPM 2 for a machine, with swtpm."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from pathlib import Path

from tools.core.errors import UserError
from tools.vm.architecture import X86_64, Architecture

PROGRAM = "swtpm"
_END_SECONDS = 20


def find_swtpm() -> str:
    """Returns the path of swtpm.

    Raises:
        UserError: it is not in PATH.
    """
    path = shutil.which(PROGRAM)
    if path is None:
        raise UserError(f"{PROGRAM}: not found; install it (Debian: swtpm)")
    return path


def start_tpm(state: Path, log: Path, cleanup: contextlib.ExitStack) -> socket.socket:
    """Starts a TPM, which ends when the other end of its control channel is closed, or at the cleanup.

    Args:
        state: directory of what the TPM keeps; created if it doesn't exist. It may be that of one running TPM only.
        log: file for its messages.
        cleanup: takes what ends the TPM.

    Returns:
        The other end of the control channel, for `tpm_arguments`. The caller closes it once QEMU has inherited it.

    Raises:
        UserError: swtpm is missing.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A pair of sockets, since the path of a socket may have 107 characters only, which a test's directory exceeds.
    channel, channel_end = socket.socketpair()
    cleanup.callback(channel.close)
    with channel_end:
        command = [find_swtpm(), "socket", "--tpm2", "--tpmstate", f"dir={state}", "--terminate"]
        command += ["--ctrl", f"type=unixio,clientfd={channel_end.fileno()}"]
        with log.open("wb") as messages:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
                pass_fds=(channel_end.fileno(),),
            )
    cleanup.callback(_end, process)
    return channel


def tpm_arguments(channel: int, architecture: Architecture = X86_64) -> list[str]:
    """Returns QEMU's arguments for the TPM of a machine.

    Args:
        channel: the end of the TPM's control channel, a file descriptor.
        architecture: the machine's processor.
    """
    return [
        *("-chardev", f"socket,id=tpm,fd={channel}"),
        *("-tpmdev", "emulator,id=tpm0,chardev=tpm"),
        *("-device", f"{architecture.tpm},tpmdev=tpm0"),
    ]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Waits for a TPM whose machine has ended, which stores its state; ends it if it doesn't."""
    try:
        process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
