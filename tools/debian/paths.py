"""Paths of package contents, and patterns for them."""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Callable, Iterable


def member_path(name: str) -> str:
    """Returns the path of a member of a package's archive, relative to the root: `usr/bin/env` for `./usr/bin/env`."""
    return os.path.normpath("/" + name.lstrip("/"))[1:]


def matcher(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Returns a function that says whether a path matches one of some patterns.

    They are as in fnmatch(3) without flags, and for paths without a leading slash: `*` matches slashes too.
    """
    expression = re.compile("|".join(map(fnmatch.translate, patterns)) or r"(?!)")
    return lambda path: expression.match(path) is not None
