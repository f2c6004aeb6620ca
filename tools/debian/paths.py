"""Normalizes paths in packages, and matches them against patterns."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable


def member_path(name: str) -> str:
    """Returns the normalized path of a member of data.tar: `usr/bin/env` for `./usr/bin/env`."""
    return os.path.normpath("/" + name.lstrip("/"))[1:]


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Returns a function that returns whether a path matches one of some patterns.

    Patterns are as in fnmatch(3) without flags, so `*` also matches a slash, and have no leading slash.
    """
    expression = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
    return lambda path: expression.match(path) is not None
