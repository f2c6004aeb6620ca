"""Repositories of this checkout that use the rules, without the product that the rules come with."""

import os
from collections.abc import Sequence
from pathlib import Path

from tests.downstream import RULES, Workspace, output_user_root

_CANONICAL_NAMES = ("rules_icos", "rules_icos~", "rules_icos+")
"""Of the rules' repository: without modules, as a module of Bazel 7, and of Bazel 8 and later."""


def checked_in(path: str, scratch: Path, flags: Sequence[str] = ()) -> Workspace:
    """Returns a repository that is a folder of this checkout. Its Bazel keeps what it makes with that of this test.

    Args:
        path: of the folder, relative to the checkout.
        scratch: a folder to keep it in where no Bazel runs this test.
        flags: of each command that builds.
    """
    common = ["--symlink_prefix=/"]  # no links in the checkout
    common.append("--deleted_packages=" + ",".join(product_packages()))
    if "ICOS_REQUIRE_ORACLES" in os.environ:
        common.append(f"--test_env=ICOS_REQUIRE_ORACLES={os.environ['ICOS_REQUIRE_ORACLES']}")
    return Workspace(RULES / path, output_user_root() or scratch, flags=[*common, *flags])


def product_packages() -> list[str]:
    """Returns the packages of the product that is built with the rules, which nobody else may need."""
    folders = [file.parent.relative_to(RULES) for file in sorted((RULES / "ic-os").rglob("BUILD.bazel"))]
    return [f"@@{name}//{folder}" for name in _CANONICAL_NAMES for folder in folders]
