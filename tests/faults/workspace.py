"""A module of its own that uses the rules, with Bazel run in it."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tools.testing.oracles import oracle

RULES = Path(os.path.realpath(__file__)).parents[2]

MODULE = f"""
module(name = "downstream")
bazel_dep(name = "rules_icos")
local_path_override(module_name = "rules_icos", path = "{RULES}")
"""


@dataclass(frozen=True)
class Workspace:
    """A folder for a module, and one for what Bazel makes of it."""

    folder: Path
    output_root: Path

    def bazel(self, *arguments: str) -> tuple[int, str]:
        """Runs Bazel; returns its exit status and what it said."""
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

    def build(self, *arguments: str) -> tuple[int, str]:
        """Builds targets."""
        # The sandbox has a /tmp of its own, and the rules may stand below the real one.
        flags = [f"--sandbox_add_mount_pair={RULES}"]
        flags += ["--enable_bzlmod", "--noenable_workspace", "--lockfile_mode=off", "--color=no", "--curses=no"]
        return self.bazel("build", *flags, *arguments)
