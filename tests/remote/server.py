"""The servers of `//dev/remote:serve`, as a person starts them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import dev.remote
from dev.remote.http_cache import ACCESS_LOG

SERVE = Path(dev.remote.__file__).with_name("serve")


@dataclass(frozen=True)
class Server:
    """A server that listens.

    Attributes:
        folder: where it stores.
        flags: for Bazel.
        process: the command's.
    """

    folder: Path
    flags: tuple[str, ...]
    process: subprocess.Popen[str]

    def kill_child(self, name: str) -> None:
        """Ends one of its programs, and what that runs."""
        os.killpg(self.children()[name], signal.SIGKILL)

    def kill(self) -> None:
        """Ends its programs as the loss of their machine would; the command sees that, and clears up what they left."""
        for pid in self.children().values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def end(self) -> int:
        """Ends it as a person does, and returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=60)

    def children(self) -> dict[str, int]:
        """Returns the process ids of its programs, by the last of their arguments."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found[arguments[-2].decode()] = int(pid)
        return found

    def stored(self) -> list[Path]:
        """Returns the files that it stores, those of results of actions not among them."""
        return [path for path in (self.folder / "stored/cas").rglob("*") if path.is_file()]

    def stored_bytes(self) -> int:
        """Returns the size of all that it stores."""
        return sum(path.stat().st_size for path in (self.folder / "stored").rglob("*") if path.is_file())

    def traffic(self) -> Counter[str]:
        """Returns the bytes that have passed, by direction; known of an `http-cache` only."""
        result = Counter[str]()
        for line in (self.folder / "logs" / ACCESS_LOG).read_text().splitlines():
            method, _, _, received, sent = line.split()
            result["up" if method == "PUT" else "down"] += int(received if method == "PUT" else sent)
        return result


@contextlib.contextmanager
def server(kind: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """Gives a server, which is ended afterwards."""
    process = subprocess.Popen(
        [SERVE, f"--server={kind}", f"--folder={folder}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()  # nothing where the command ends instead
        if not line:
            pytest.fail(f"the server ended with exit status {process.wait()}")
        made = Server(folder, tuple(line.split()), process)
        try:
            yield made
        finally:
            made.end()


def sha256_in_name(path: Path) -> str:
    """Returns the hash that a stored blob's path says: the last 64 characters, a slash among them not counted."""
    return "".join(path.parts[-2:])[-64:]
