"""Runs the servers of `//dev/remote:serve`."""

from __future__ import annotations

import contextlib
import os
import shlex
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
    """A running server.

    Attributes:
        folder: directory for its blobs.
        bazelrc: Bazel's startup option for it.
        flags: those of the file that the option names.
        process: the command's.
    """

    folder: Path
    bazelrc: str
    flags: tuple[str, ...]
    process: subprocess.Popen[str]

    def kill_child(self, name: str) -> None:
        """Kills one of its processes and the process group."""
        os.killpg(self.children()[name], signal.SIGKILL)

    def kill(self) -> None:
        """Kills all its processes, as a crash of their machine does; the command detects that, and cleans up."""
        for pid in self.children().values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        self.process.wait(timeout=60)

    def end(self) -> int:
        """Stops the command by SIGTERM, and returns its exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(timeout=60)

    def children(self) -> dict[str, int]:
        """Returns the IDs of its processes, by their last argument."""
        found = {}
        for task in Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in (task / "children").read_text().split():
                arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                found[arguments[-2].decode()] = int(pid)
        return found

    def stored(self) -> list[Path]:
        """Returns the stored blobs, without action results."""
        return [path for path in (self.folder / "stored/cas").rglob("*") if path.is_file()]

    def stored_bytes(self) -> int:
        """Returns the size of all stored files in bytes."""
        return sum(path.stat().st_size for path in (self.folder / "stored").rglob("*") if path.is_file())

    def traffic(self) -> Counter[str]:
        """Returns the number of transferred bytes by direction; only for `http-cache`."""
        result = Counter[str]()
        for line in (self.folder / "logs" / ACCESS_LOG).read_text().splitlines():
            method, _, _, received, sent = line.split()
            result["up" if method == "PUT" else "down"] += int(received if method == "PUT" else sent)
        return result


def flags_in(bazelrc: Path) -> tuple[str, ...]:
    """Returns the flags in a file that the command wrote for Bazel."""
    lines = [shlex.split(line) for line in bazelrc.read_text().splitlines()]
    assert all(len(words) == 2 and words[0] == "build" for words in lines)
    return tuple(flag for _, flag in lines)


@contextlib.contextmanager
def server(kind: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """Starts a server; stops it at the end of the context."""
    process = subprocess.Popen(
        [SERVE, f"--server={kind}", f"--folder={folder}", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process.stdout:
        line = process.stdout.readline()  # empty if the command ended
        if not line:
            pytest.fail(f"the server ended with exit status {process.wait()}")
        made = Server(folder, line.strip(), flags_in(Path(line.strip().removeprefix("--bazelrc="))), process)
        try:
            yield made
        finally:
            made.end()


def sha256_in_name(path: Path) -> str:
    """Returns the hash in a blob's path: the last 64 characters without slashes."""
    return "".join(path.parts[-2:])[-64:]
