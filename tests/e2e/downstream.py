"""Repositories of this checkout that use the rules, without the packages of the product."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.downstream import RULES, Workspace, output_user_root

_CANONICAL_NAMES = ("rules_icos", "rules_icos~", "rules_icos+")
"""Canonical names of the rules' repository: by WORKSPACE, as a module of Bazel 7, and of Bazel 8 and later."""


def checked_in(path: str, scratch: Path, flags: Sequence[str] = ()) -> Workspace:
    """Returns a repository in a directory of this checkout. It shares the output user root of this test's Bazel.

    Args:
        path: path of the directory, relative to the checkout.
        scratch: output user root if Bazel doesn't run this test.
        flags: flags for all build commands.
    """
    common = ["--symlink_prefix=/"]  # no symbolic links in the checkout
    common.append("--deleted_packages=" + ",".join(product_packages()))
    if "ICOS_REQUIRE_ORACLES" in os.environ:
        common.append(f"--test_env=ICOS_REQUIRE_ORACLES={os.environ['ICOS_REQUIRE_ORACLES']}")
    return Workspace(RULES / path, output_user_root() or scratch, flags=[*common, *flags])


def product_packages() -> list[str]:
    """Returns the packages of the product in the rules' repository, which other repositories must not need."""
    folders = [file.parent.relative_to(RULES) for file in sorted((RULES / "ic-os").rglob("BUILD.bazel"))]
    return [f"@@{name}//{folder}" for name in _CANONICAL_NAMES for folder in folders]
