"""Budgets: how large an image and its parts may be, and how much they may grow."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping

from tools.core.errors import UserError
from tools.core.json_spec import Size, convert
from tools.report.usage import Usage

_PACKAGE = "package:"
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)%")


def size_of(usage: Usage, subject: str) -> int:
    """Returns how many bytes something in an image takes.

    Args:
        usage: the report on the image.
        subject: `total` or `compressed` for the whole image; the name of a partition; `package:NAME`; or a path of a
            file or directory, after the partition's name and a colon on a disk, such as `A_root:/usr/lib`.

    Raises:
        UserError: there is no such thing in the image.
    """
    if subject in ("total", "compressed"):
        return usage.data if subject == "total" else usage.compressed
    if subject.startswith(_PACKAGE):
        sizes = {_PACKAGE + each.name: each.data for each in usage.packages if each.name}
    elif "/" in subject:
        below = subject.rstrip("/") + "/"
        found = [each.data for each in usage.files if each.path == subject or each.path.startswith(below)]
        sizes = {subject: sum(found)} if found else {}
    else:
        sizes = {each.name: each.data for each in usage.volumes}
    if subject not in sizes:
        close = difflib.get_close_matches(subject, sizes, 1)
        hint = f"did you mean {close[0]}?" if close else "give total, compressed, a partition, package:NAME or a path"
        raise UserError(f"{usage.name}: has no {subject}; {hint}")
    return sizes[subject]


def exceeded(
    usage: Usage, before: Usage | None, max_size: Mapping[str, int], max_growth: Mapping[str, str]
) -> Iterator[str]:
    """Yields a line for each budget that an image exceeds.

    Args:
        usage: the report on the image.
        before: the report on the build to compare it with.
        max_size: bytes by subject; see `size_of`.
        max_growth: bytes, with or without K, M, G or T, or a percentage such as `2%`, by subject.

    Raises:
        UserError: a subject is not in the image, a growth is no size, or there is nothing to compare it with.
    """
    for subject, limit in max_size.items():
        size = size_of(usage, subject)
        if size > limit:
            yield f"{subject}: has {size} bytes, {size - limit} more than the {limit} of max_size"
    if max_growth and before is None:
        raise UserError("max_growth: there is no earlier report to compare with; give it as before")
    for subject, text in max_growth.items():
        assert before is not None
        size, old = size_of(usage, subject), _size_before(before, subject)
        allowed = _allowed(text, old, f"max_growth: {subject}")
        if size - old > allowed:
            yield f"{subject}: grew by {size - old} bytes, from {old} to {size}; max_growth allows {allowed} ({text})"


def _size_before(before: Usage, subject: str) -> int:
    """Returns the size of something in the earlier build; 0 if it wasn't there."""
    try:
        return size_of(before, subject)
    except UserError:
        return 0


def _allowed(text: str, old: int, where: str) -> int:
    if percent := _PERCENT.fullmatch(text):
        return int(old * float(percent[1]) / 100)
    return int(convert(Size, text, where))
