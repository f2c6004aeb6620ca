"""The manifest: the requested distributions."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from third_party.python.targets import GLIBC, all_targets
from tools.core.errors import UserError


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest.

    Attributes:
        path: path of the file, for messages.
        requirements: one requirement for each distribution, in the order of the file.
    """

    path: str
    requirements: tuple[Requirement, ...]

    def digest(self) -> str:
        """Returns a SHA-256 of what a lock depends on: requirements and targets, without comments and order."""
        lines = sorted(f"{canonicalize_name(r.name)} {r}" for r in self.requirements)
        lines += [str(target) for target in all_targets()]
        lines.append("glibc {}.{}".format(*GLIBC))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Reads a manifest: a file with a requirement (PEP 508) per line, and comments with `#`.

    Raises:
        UserError: the file cannot be read, a line is not a requirement, or a distribution occurs twice or with a URL.
    """
    path = os.fspath(path)
    requirements: dict[str, Requirement] = {}
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        try:
            requirement = Requirement(content)
        except InvalidRequirement as error:
            reason = str(error).splitlines()[0]
            raise UserError(f"{path}:{number}: not a requirement (PEP 508): {reason}") from error
        name = canonicalize_name(requirement.name)
        if requirement.url:
            raise UserError(f"{path}:{number}: {name} has a URL; use a version of the index instead")
        if name in requirements:
            raise UserError(f"{path}:{number}: {name} occurs twice; merge the two lines")
        requirements[name] = requirement
    return Manifest(path, tuple(requirements.values()))
