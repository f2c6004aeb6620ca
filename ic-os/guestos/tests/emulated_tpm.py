"""A TPM 2 that swtpm emulates, as programs of the system see it: a device that takes commands and gives responses."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
import tty
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.vm.tpm import find_swtpm

_END_SECONDS = 20
_MOST = 4096


@dataclass(frozen=True)
class EmulatedTpm:
    """A running TPM.

    Attributes:
        channel: a socket to it.
    """

    channel: socket.socket

    def __call__(self, command: bytes) -> bytes:
        """Returns the response to a command."""
        self.channel.sendall(command)
        return self.channel.recv(_MOST)


@contextlib.contextmanager
def emulated_tpm(folder: Path) -> Iterator[EmulatedTpm]:
    """Starts a TPM whose state is in a folder; it has ended, and stored its state, when this is left."""
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as cleanup:
        channel = cleanup.enter_context(socket.socket(socket.AF_UNIX))
        with socket.socket(socket.AF_UNIX) as listener, (folder / "log").open("wb") as log:
            listener.bind("")  # an address that the kernel chooses, without a path (unix(7), autobind)
            listener.listen()
            process = subprocess.Popen(
                [
                    *(find_swtpm(), "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--terminate"),
                    *("--server", f"type=unixio,fd={listener.fileno()}", "--flags", "not-need-init,startup-clear"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(listener.fileno(),),
            )
            cleanup.callback(process.wait, _END_SECONDS)
            channel.connect(listener.getsockname())
        cleanup.callback(channel.shutdown, socket.SHUT_RDWR)
        yield EmulatedTpm(channel)


@contextlib.contextmanager
def tpm_device(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """Yields the path of a pseudoterminal that stands for the device of a TPM.

    Args:
        answer: returns the response to a command, such as an `EmulatedTpm`.
    """
    end, device = os.openpty()
    tty.setraw(device)

    def serve() -> None:
        # It cannot be read any more when nobody has it open.
        with contextlib.suppress(OSError):
            while command := os.read(end, _MOST):
                os.write(end, answer(command))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield os.ttyname(device)
    finally:
        os.close(device)
        thread.join(_END_SECONDS)
        os.close(end)
