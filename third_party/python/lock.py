"""Refreshes a lock of Python wheels, or checks it: `bazel run //third_party/python:lock`.

Versions that are locked stay, as far as the manifest allows; --upgrade lets them go.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from third_party.python.lock_file import Lock, merge, read_lock
from third_party.python.manifest import Manifest, read_manifest
from third_party.python.resolve import Choice, resolve
from third_party.python.side_by_side import check_distribution
from third_party.python.targets import Target, all_targets
from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName
from tools.core.version_changes import version_changes

_COMMAND = "bazel run //third_party/python:lock"
_ALL = "all"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("NAME.in, the manifest to read; its lock is NAME.lock.json beside it")
    check: bool = argument("only check that the lock was made from the manifest; no network is used", default=False)
    upgrade: tuple[str, ...] = argument(
        f"distributions to take in the newest version that the manifest allows, with commas; {_ALL} for every one",
        default=(),
    )


def check(manifest: Manifest, lock: Lock) -> None:
    """Compares the manifest's digest with the one that the lock was made from.

    Raises:
        CheckError: they differ.
    """
    if lock.manifest != manifest.digest():
        raise CheckError(
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
    """Writes a new lock in place of the one at `path`, all of it or nothing, and prints how versions changed."""
    old = read_lock(path) if path.exists() else Lock("", {})
    new = make_lock(manifest, kept_versions(manifest, old, upgrade))
    for name, distribution in new.distributions.items():
        if old.distributions.get(name) != distribution:
            check_distribution(name, distribution)
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(new.to_text(), encoding="utf-8")
    temporary.replace(path)
    for line in version_changes(old.versions(), new.versions(), _compare):
        print(line)


def _compare(one: str, other: str) -> int:
    return (Version(one) > Version(other)) - (Version(one) < Version(other))


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    manifest = read_manifest(Path(arguments.manifest))
    lock = Path(manifest.path).with_suffix(".lock.json")
    if arguments.check:
        check(manifest, read_lock(lock))
    else:
        refresh(manifest, lock, [name for names in arguments.upgrade for name in names.split(",") if name])


if __name__ == "__main__":
    run(main, Arguments, __doc__)
