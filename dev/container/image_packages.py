"""Compares the packages of the build environment's image with their lock.

The image is made from a suite that changes every day. The lock, `gitlab-ci/container/packages.lock.json`, has the
packages of the image that CI has tested: their versions and SHA-256, and the date of the signed Release file that lists
them. So it is seen when the mirror moved on, when it went back, and how old the packages are if it stands still.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import CheckError, UserError
from tools.core.json_file import read_json
from tools.debian.versions import compare_versions
from tools.sbom.control import stanzas

UPDATE = "bazel run //dev/container:packages.lock"
_MAX_NAMED = 5


@dataclass(frozen=True, slots=True)
class LockedImage:
    """The lock of an image's packages.

    Attributes:
        suite: of the archive.
        released: date of the suite's Release file.
        packages: version and SHA-256 of each package file, by `NAME:ARCHITECTURE`.
    """

    suite: str
    released: str
    packages: Mapping[str, tuple[str, str]]

    def to_json(self) -> str:
        """Returns the content of the lock file."""
        packages = {name: {"version": v, "sha256": digest} for name, (v, digest) in sorted(self.packages.items())}
        return json.dumps({"suite": self.suite, "released": self.released, "packages": packages}, indent=2) + "\n"


def read_image_lock(path: Path) -> LockedImage:
    """Reads a lock file.

    Raises:
        UserError: it cannot be read, or is none.
    """
    content = read_json(path, advice=f"make it anew: {UPDATE}")
    try:
        packages = {name: (each["version"], each["sha256"]) for name, each in content["packages"].items()}
        for name, (version, digest) in packages.items():
            compare_versions(version, "0")
            if len(bytes.fromhex(digest)) != 32 or not int(digest, 16):
                raise ValueError(f"{name} has the invalid SHA-256 {digest[:80]!r}")
        return LockedImage(content["suite"], content["released"], packages)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: is not a lock of the image: {error}; make it anew: {UPDATE}") from error


def installed_packages(status: Path) -> dict[str, str]:
    """Returns the versions of the packages that dpkg has installed, by `NAME:ARCHITECTURE`.

    Args:
        status: dpkg's list, /var/lib/dpkg/status.

    Raises:
        UserError: it cannot be read, or has no package.
    """
    try:
        found = {
            f"{fields['package']}:{fields['architecture']}": fields["version"]
            for fields in stanzas(status.read_text(encoding="utf-8"))
            if fields.get("status", "").endswith(" installed")
        }
    except OSError as error:
        raise UserError(f"{status}: cannot be read: {error.strerror}") from error
    except (LookupError, UnicodeDecodeError) as error:
        raise UserError(f"{status}: is not a list of dpkg: {error}") from error
    if not found:
        raise UserError(f"{status}: has no installed package")
    return found


def check_image(lock: LockedImage, installed: Mapping[str, str]) -> None:
    """Checks that an image has the locked packages, and no others.

    Raises:
        CheckError: it has not; the message has the first ones.
    """
    wrong = differences(lock, installed)
    if wrong:
        more = f", and {len(wrong) - _MAX_NAMED} more" if len(wrong) > _MAX_NAMED else ""
        raise CheckError(
            f"the image has other packages than its lock, which is of {lock.suite} of {lock.released}: "
            f"{', '.join(wrong[:_MAX_NAMED])}{more}; make the image from a mirror of that date (ICOS_DEBIAN_MIRROR), "
            f"or lock the packages that it has: {UPDATE}"
        )


def went_back(lock: LockedImage, installed: Mapping[str, str]) -> bool:
    """Returns whether a package of an image is older than the locked one, as from a mirror that is held back."""
    return any(
        compare_versions(installed[name], version) < 0
        for name, (version, _) in lock.packages.items()
        if name in installed
    )


def differences(lock: LockedImage, installed: Mapping[str, str]) -> list[str]:
    """Returns a description of each package that differs between a lock and an image."""
    wrong = []
    for name in sorted(lock.packages.keys() | installed.keys()):
        wanted, found = lock.packages.get(name, ("", ""))[0], installed.get(name, "")
        if not found:
            wrong.append(f"{name} {wanted} is missing")
        elif not wanted:
            wrong.append(f"{name} {found} is not locked")
        elif wanted != found:
            kind = "older" if compare_versions(found, wanted) < 0 else "newer"
            wrong.append(f"{name} {found} is {kind} than {wanted}")
    return wrong
