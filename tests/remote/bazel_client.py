"""Runs Bazel with its own output base, like on a new machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.downstream import json_values
from tools.testing.oracles import oracle


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Build:
    """A build that has ended.

    Attributes:
        status: Bazel's exit status.
        said: what Bazel said.
        seconds: how long it took, the start of Bazel's server and the analysis included.
        runners: how many actions each runner did, by Bazel's names of them: `remote cache hit`, `linux-sandbox` and so
            on. Those that only Bazel itself does, such as links, are not among them.
        spawns: the entries of the execution log.
    """

    status: int
    said: str
    seconds: float
    runners: dict[str, int]
    spawns: list[dict[str, Any]]

    @property
    def executed(self) -> dict[str, int]:
        """The number of executed actions by runner, without cache hits."""
        return {name: count for name, count in self.runners.items() if not name.endswith("cache hit")}

    def runner_of(self, mnemonic: str) -> Counter[str]:
        """Returns the number of actions with a mnemonic by runner."""
        return Counter(spawn["runner"] for spawn in self.spawns if spawn["mnemonic"] == mnemonic)


@dataclass(frozen=True)
class Client:
    """A workspace and Bazel's output base for it; downloads are shared with other clients.

    Attributes:
        workspace: with the module to build.
        output_base: everything but the downloads; there is nothing at first.
        flags: of each build.
    """

    workspace: Path
    output_base: Path
    flags: tuple[str, ...] = ()

    @property
    def bin(self) -> Path:
        """The directory of outputs."""
        (folder,) = self.output_base.glob("execroot/_main/bazel-out/*-fastbuild/bin")
        return folder

    def start(self, *arguments: str) -> Running:
        """Starts a build of targets."""
        log = self.output_base.with_name(f"{self.output_base.name}.spawns.json")
        events = self.output_base.with_name(f"{self.output_base.name}.events.json")
        log.unlink(missing_ok=True)
        events.unlink(missing_ok=True)
        flags = ["--color=no", "--curses=no", "--disk_cache=", "--experimental_convenience_symlinks=ignore"]
        # Keep local paths in events; otherwise Bazel uploads the files to the cache, and fails if they are removed.
        flags += [f"--build_event_json_file={events}", "--nobuild_event_json_file_path_conversion"]
        flags += [f"--execution_log_json_file={log}", *self.flags]
        return Running(self._bazel("build", *flags, *arguments), log, events, time.monotonic())

    def build(self, *arguments: str) -> Build:
        """Builds targets."""
        return self.start(*arguments).result()

    def clean(self) -> None:
        """Removes all outputs; keeps external repositories."""
        self._bazel("clean").communicate()

    def shut_down(self) -> None:
        """Stops Bazel's server."""
        self._bazel("shutdown").communicate()

    def sha256(self, names: list[str]) -> dict[str, str]:
        """Returns the SHA-256 of outputs, by their paths in `bin`."""
        return {name: sha256_of(self.bin / name) for name in names}

    def _bazel(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [oracle("bazel"), f"--output_base={self.output_base}", "--max_idle_secs=300", command, *arguments],
            cwd=self.workspace,
            # With TEST_TMPDIR, Bazel stores even its downloads there.
            env={name: value for name, value in os.environ.items() if name != "TEST_TMPDIR"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@dataclass(frozen=True)
class Running:
    """A running build; see `Build`."""

    process: subprocess.Popen[str]
    log: Path
    events: Path
    started: float

    def result(self) -> Build:
        """Waits for the end of the build."""
        said, _ = self.process.communicate()
        seconds = time.monotonic() - self.started
        runners = {}
        for event in json_values(self.events):
            for item in event.get("buildMetrics", {}).get("actionSummary", {}).get("runnerCount", []):
                runners[item["name"]] = item.get("count", 0)
        runners = {name: count for name, count in runners.items() if name not in ("total", "internal")}
        return Build(self.process.returncode, said, seconds, runners, list(json_values(self.log)))


@contextmanager
def client(workspace: Path, output_base: Path, *flags: str) -> Iterator[Client]:
    """Creates a client; stops its server at the end of the context."""
    made = Client(workspace, output_base, flags)
    try:
        yield made
    finally:
        made.shut_down()
