"""Runs Bazel in repositories that use the rules."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.workspace import RULES
from tools.testing.oracles import oracle

INSTALLED = Path("/usr/share/bazel")
"""Directory of the rules in Debian's packages."""

_EXECROOT = "execroot"
_CANONICAL_NAMES = ("rules_icos", "rules_icos~", "rules_icos+")
"""Canonical names of the rules' repository: by WORKSPACE, as a module of Bazel 7, and of Bazel 8 and later."""


def output_user_root(fallback: Path) -> Path:
    """Returns the output user root of the Bazel that runs this test, to share its downloads.

    Args:
        fallback: directory to use if Bazel doesn't run this test.
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
        folder: its root directory.
        output_root: Bazel's output user root, shared by repositories.
        flags: flags for all commands.
    """

    folder: Path
    output_root: Path
    flags: Sequence[str] = ()

    def bazel(self, command: str, *arguments: str) -> tuple[int, str]:
        """Runs Bazel; returns its exit status and output."""
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
        """Runs a build command, with the packages of the product deleted; returns exit status and output."""
        flags = [
            "--color=no",
            "--curses=no",
            "--show_progress_rate_limit=60",
            # The sandbox has its own /tmp, and the rules may be in the real one.
            f"--sandbox_add_mount_pair={RULES}",
            # No symbolic links in the checkout.
            "--symlink_prefix=/",
            "--deleted_packages=" + ",".join(product_packages()),
        ]
        if "ICOS_REQUIRE_ORACLES" in os.environ:
            flags.append(f"--test_env=ICOS_REQUIRE_ORACLES={os.environ['ICOS_REQUIRE_ORACLES']}")
        return self.bazel(command, *flags, *self.flags, *arguments)

    def folder_of(self, key: str) -> Path:
        """Returns a directory from `bazel info`."""
        status, said = self.build("info", key)
        assert status == 0, said
        return Path(said.splitlines()[-1])


def product_packages() -> list[str]:
    """Returns the packages of the product in the rules' repository, which other repositories must not need."""
    folders = [file.parent.relative_to(RULES) for file in sorted((RULES / "ic-os").rglob("BUILD.bazel"))]
    return [f"@@{name}//{folder}" for name in _CANONICAL_NAMES for folder in folders]
