"""Runs Bazel in repositories that use the rules."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.testing.oracles import oracle, unavailable

RULES = Path(os.path.realpath(__file__)).parents[1]

MODULE = f"""
module(name = "downstream")
bazel_dep(name = "rules_icos")
local_path_override(module_name = "rules_icos", path = "{RULES}")
"""

MODULE_FLAGS = ("--enable_bzlmod", "--noenable_workspace", "--lockfile_mode=off")
"""Flags for a repository without a .bazelrc."""

PLAIN_OUTPUT = ("--color=no", "--curses=no", "--show_progress_rate_limit=60")

_EXECROOT = "execroot"
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class Workspace:
    """A repository that uses the rules.

    Attributes:
        folder: its root directory.
        output_root: Bazel's output user root.
        flags: flags for all commands that accept those of `build`.
    """

    folder: Path
    output_root: Path
    flags: Sequence[str] = field(default=MODULE_FLAGS, kw_only=True)

    def bazel(self, *arguments: str) -> tuple[int, str]:
        """Runs Bazel; returns its exit status and output."""
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
        """Runs a command that accepts the flags of `build`; returns exit status and output."""
        # The sandbox has its own /tmp, and the rules may be in the real one.
        mount = f"--sandbox_add_mount_pair={RULES}"
        return self.bazel(command, *PLAIN_OUTPUT, mount, *self.flags, *arguments)

    def build(self, *arguments: str) -> tuple[int, str]:
        """Builds targets; returns exit status and output."""
        return self.run("build", *arguments)

    def folder_of(self, key: str) -> Path:
        """Returns a directory from `bazel info`."""
        status, said = self.run("info", key)
        assert status == 0, said
        return Path(said.splitlines()[-1])


def copy_checkout(folder: Path) -> None:
    """Copies the files of this repository into a folder, but for those that git ignores."""
    if not (RULES / ".git").exists():
        unavailable(f"{RULES} is no checkout in git, whose files could be listed")
    command = [oracle("git"), "-C", str(RULES), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout.split(b"\0")[:-1]
    for name in map(os.fsdecode, names):
        if os.path.lexists(RULES / name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(RULES / name, folder / name, follow_symlinks=False)


def output_user_root() -> Path | None:
    """Returns the output user root of the Bazel that runs this test, to share its downloads.

    None if Bazel doesn't run this test.
    """
    parts = Path(os.environ.get("TEST_SRCDIR", "")).parts
    # OUTPUT_USER_ROOT/OUTPUT_BASE/execroot/…: https://bazel.build/remote/output-directories
    return Path(*parts[: parts.index(_EXECROOT) - 1]) if _EXECROOT in parts else None


def repository_cache() -> Path | None:
    """Returns the repository cache of the Bazel that runs this test, if it is at the default location."""
    root = output_user_root()
    cache = root and root / "cache/repos/v1"
    return cache if cache and cache.is_dir() else None


def json_values(path: Path) -> Iterator[dict[str, Any]]:
    """Yields the concatenated JSON objects in a file, such as a log of Bazel; nothing if the file doesn't exist."""
    text = path.read_text() if path.exists() else ""
    decoder, position = json.JSONDecoder(), 0
    while (position := _SPACE.match(text, position).end()) < len(text):
        value, position = decoder.raw_decode(text, position)
        yield value
