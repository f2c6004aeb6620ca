"""Repositories that use the rules, and Bazel run in them as their owners would."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.workspace import RULES
from tools.testing.oracles import oracle

INSTALLED = Path("/usr/share/bazel")
"""Where Debian's packages of Bazel's rules are."""

_EXECROOT = "execroot"
_CANONICAL_NAMES = ("rules_icos", "rules_icos~", "rules_icos+")
"""Of the rules' repository: without modules, as a module of Bazel 7, and of Bazel 8 and later."""


def output_user_root(fallback: Path) -> Path:
    """Returns the folder of the Bazel that runs this test: what it has fetched is there, and a server for each folder.

    Args:
        fallback: the folder to use where no Bazel runs this test.
    """
    parts = Path(os.environ.get("TEST_SRCDIR", "")).parts
    if _EXECROOT not in parts:
        return fallback
    # OUTPUT_USER_ROOT/OUTPUT_BASE/execroot/…: https://bazel.build/remote/output-directories
    return Path(*parts[: parts.index(_EXECROOT) - 1])


@dataclass(frozen=True)
class Downstream:
    """A repository that uses the rules.

    Attributes:
        folder: its root.
        output_root: what its Bazel, and those of others, keep.
        flags: what every command takes.
    """

    folder: Path
    output_root: Path
    flags: Sequence[str] = ()

    def bazel(self, command: str, *arguments: str) -> tuple[int, str]:
        """Runs Bazel; returns its exit status and what it said."""
        done = subprocess.run(
            [oracle("bazel"), f"--output_user_root={self.output_root}", command, *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def build(self, command: str, *arguments: str) -> tuple[int, str]:
        """Runs a command that builds, without the product that the rules come with; returns as `bazel` does."""
        flags = [
            "--color=no",
            "--curses=no",
            "--show_progress_rate_limit=60",
            # The sandbox has a /tmp of its own, and the rules may stand below the real one.
            f"--sandbox_add_mount_pair={RULES}",
            # No links in the checkout.
            "--symlink_prefix=/",
            "--deleted_packages=" + ",".join(product_packages()),
        ]
        if "ICOS_REQUIRE_ORACLES" in os.environ:
            flags.append(f"--test_env=ICOS_REQUIRE_ORACLES={os.environ['ICOS_REQUIRE_ORACLES']}")
        return self.bazel(command, *flags, *self.flags, *arguments)

    def folder_of(self, key: str) -> Path:
        """Returns a folder that `bazel info` knows."""
        status, said = self.build("info", key)
        assert status == 0, said
        return Path(said.splitlines()[-1])


def product_packages() -> list[str]:
    """Returns the packages of the product that is built with the rules, which nobody else may need."""
    folders = [file.parent.relative_to(RULES) for file in sorted((RULES / "ic-os").rglob("BUILD.bazel"))]
    return [f"@@{name}//{folder}" for name in _CANONICAL_NAMES for folder in folders]
