"""The manifest: which distributions are wanted, before versions are chosen."""

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
    """What is asked for.

    Attributes:
        path: of the file, for messages.
        requirements: one for each distribution, in the file's order.
    """

    path: str
    requirements: tuple[Requirement, ...]

    def digest(self) -> str:
        """Returns a SHA-256 over what a lock depends on: requirements and targets, not comments, not order."""
        lines = sorted(f"{canonicalize_name(r.name)} {r}" for r in self.requirements)
        lines += [str(target) for target in all_targets()]
        lines.append("glibc {}.{}".format(*GLIBC))
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read_manifest(path: str | os.PathLike[str]) -> Manifest:
    """Returns the manifest in a file of requirements, one a line (PEP 508), `#` starting comments.

    Raises:
        UserError: a line is no requirement, a distribution is named twice, or by URL.
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
            raise UserError(f"{path}:{number}: not a requirement as PEP 508 has it: {reason}") from error
        name = canonicalize_name(requirement.name)
        if requirement.url:
            raise UserError(f"{path}:{number}: {name} is named by URL; name a version of the index instead")
        if name in requirements:
            raise UserError(f"{path}:{number}: {name} is named twice; merge the two lines")
        requirements[name] = requirement
    return Manifest(path, tuple(requirements.values()))
