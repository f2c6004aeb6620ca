"""Refreshes a lock of Python wheels, or checks it: `bazel run //third_party/python:lock`.

Versions that are locked stay, as far as the manifest allows; --upgrade lets them go.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from third_party.python.lock_file import Lock, merge, read_lock
from third_party.python.manifest import Manifest, read_manifest
from third_party.python.resolve import Choice, resolve
from third_party.python.side_by_side import check_distribution
from third_party.python.targets import Target, all_targets
from tools.core.errors import UserError

_COMMAND = "bazel run //third_party/python:lock"
_ALL = "all"

_MANIFEST = flags.DEFINE_string(
    "manifest",
    "third_party/python/requirements.in",
    "NAME.in, the manifest to read; its lock is NAME.lock.json beside it.",
)
_CHECK = flags.DEFINE_bool("check", False, "Only say whether the lock belongs to the manifest; no network is used.")
_UPGRADE = flags.DEFINE_list(
    "upgrade", [], f"Distributions to take in the newest version that the manifest allows; '{_ALL}' for every one."
)


def check(manifest: Manifest, lock: Lock) -> None:
    """Compares the manifest's digest with the one that the lock was made from.

    Raises:
        UserError: they differ.
    """
    if lock.manifest != manifest.digest():
        raise UserError(
            f"{manifest.path}: changed since the lock was made; run {_COMMAND} -- --manifest={manifest.path}"
        )


def kept_versions(manifest: Manifest, lock: Lock, upgrade: Sequence[str]) -> dict[str, str]:
    """Returns the locked versions that are to stay.

    Raises:
        UserError: a distribution to upgrade isn't in the lock.
    """
    if _ALL in upgrade:
        return {}
    names = {canonicalize_name(name) for name in upgrade}
    versions = lock.versions()
    if unknown := sorted(names - versions.keys()):
        raise UserError(f"--upgrade: {', '.join(unknown)}: not in the lock")
    allowed: dict[str, SpecifierSet] = {canonicalize_name(r.name): r.specifier for r in manifest.requirements}
    return {
        name: version
        for name, version in versions.items()
        if name not in names and (name not in allowed or allowed[name].contains(version, prereleases=True))
    }


def make_lock(manifest: Manifest, versions: dict[str, str]) -> Lock:
    """Returns a lock with one version of each distribution for all targets.

    Args:
        manifest: what is wanted.
        versions: to take where a distribution is needed.

    Raises:
        UserError: there is no version of some distribution with a wheel for every target.
    """
    versions = dict(versions)
    choices: dict[Target, dict[str, Choice]] = {}
    for target in all_targets():
        print(f"resolving for {target}", file=sys.stderr)
        try:
            choices[target] = resolve(manifest, target, versions)
        except UserError as error:
            kept = "versions that are locked or were chosen for another target are kept"
            raise UserError(f"{error} ({kept}; try --upgrade={_ALL}, or bound a version in the manifest)") from error
        for name, choice in choices[target].items():
            versions[name] = choice.version
    return merge(manifest.digest(), choices)


def refresh(manifest: Manifest, path: Path, upgrade: Sequence[str]) -> None:
    """Writes a new lock in place of the one at `path`; all of it or nothing."""
    old = read_lock(path) if path.exists() else Lock("", {})
    new = make_lock(manifest, kept_versions(manifest, old, upgrade))
    for name, distribution in new.distributions.items():
        if old.distributions.get(name) != distribution:
            print(f"{name}: {distribution.version}", file=sys.stderr)
            check_distribution(name, distribution)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(new.to_text(), encoding="utf-8")
    temporary.replace(path)


def run(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    # `bazel run` starts in the runfiles, `bazel test` has no workspace: there the paths are of the runfiles.
    root = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", ""))
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        manifest = read_manifest(root / _MANIFEST.value)
        lock = Path(manifest.path).with_suffix(".lock.json")
        if _CHECK.value:
            check(manifest, read_lock(lock))
        else:
            refresh(manifest, lock, _UPGRADE.value)
    except UserError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(run)
