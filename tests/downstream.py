"""Repositories that use the rules, and Bazel run in them as their owners would."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.testing.oracles import oracle

RULES = Path(os.path.realpath(__file__)).parents[1]

MODULE = f"""
module(name = "downstream")
bazel_dep(name = "rules_icos")
local_path_override(module_name = "rules_icos", path = "{RULES}")
"""

MODULE_FLAGS = ("--enable_bzlmod", "--noenable_workspace", "--lockfile_mode=off")
"""For a repository without a .bazelrc of its own."""

PLAIN_OUTPUT = ("--color=no", "--curses=no", "--show_progress_rate_limit=60")

_EXECROOT = "execroot"
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Workspace:
    """A repository that uses the rules.

    Attributes:
        folder: its root.
        output_root: what its Bazel keeps: a folder for each repository, and downloads.
        flags: of each command that takes those of builds.
    """

    folder: Path
    output_root: Path
    flags: Sequence[str] = field(default=MODULE_FLAGS, kw_only=True)

    def bazel(self, *arguments: str) -> tuple[int, str]:
        """Runs Bazel; returns its exit status and its output."""
        done = subprocess.run(
            [oracle("bazel"), f"--output_user_root={self.output_root}", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def run(self, command: str, *arguments: str) -> tuple[int, str]:
        """Runs a command of Bazel that takes the flags of builds; returns as `bazel` does."""
        # The sandbox has a /tmp of its own, and the rules may stand below the real one.
        mount = f"--sandbox_add_mount_pair={RULES}"
        return self.bazel(command, *PLAIN_OUTPUT, mount, *self.flags, *arguments)

    def build(self, *arguments: str) -> tuple[int, str]:
        """Builds targets; returns as `bazel` does."""
        return self.run("build", *arguments)

    def folder_of(self, key: str) -> Path:
        """Returns a folder that `bazel info` knows."""
        status, said = self.run("info", key)
        assert status == 0, said
        return Path(said.splitlines()[-1])


def output_user_root() -> Path | None:
    """Returns the folder of the Bazel that runs this test: what it has fetched is there, and a server for each folder.

    None where no Bazel runs this test.
    """
    parts = Path(os.environ.get("TEST_SRCDIR", "")).parts
    # OUTPUT_USER_ROOT/OUTPUT_BASE/execroot/…: https://bazel.build/remote/output-directories
    return Path(*parts[: parts.index(_EXECROOT) - 1]) if _EXECROOT in parts else None


def repository_cache() -> Path | None:
    """Returns where the Bazel that runs this test keeps its downloads, if that is the usual place."""
    root = output_user_root()
    cache = root and root / "cache/repos/v1"
    return cache if cache and cache.is_dir() else None


def json_values(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the JSON objects in a file, one after the other, as Bazel writes its logs; nothing if there is no file."""
    text = path.read_text() if path.exists() else ""
    decoder, position = json.JSONDecoder(), 0
    while (position := _SPACE.match(text, position).end()) < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value
