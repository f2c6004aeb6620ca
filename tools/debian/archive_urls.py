"""The URLs of an archive's files at the time of a lock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

from tools.debian.manifest import Archive

_SNAPSHOT_MARGIN = dt.timedelta(days=1)
"""Time from a release to the snapshot to use: a snapshot has new files some hours later, and old ones for days."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"


def archive_urls(archive: Archive, released: Iterable[dt.datetime]) -> list[str]:
    """Returns the base URLs in order of preference: the mirrors, and the snapshot after the last release, if any.

    Args:
        archive: the archive.
        released: dates of the Release files of its suites, at least one.
    """
    urls = list(archive.mirrors)
    if archive.snapshots:
        time = max(released) + _SNAPSHOT_MARGIN
        urls.append(archive.snapshots.format(time=time.strftime("%Y%m%dT%H%M%SZ")))
    return urls


def format_time(time: dt.datetime) -> str:
    """Returns a time in UTC as locks have it, such as 2025-01-31T23:59:59Z."""
    return time.strftime(_TIME)


def parse_time(text: str) -> dt.datetime:
    """Returns the time in UTC that `format_time` formatted.

    Raises:
        ValueError: it is not in this format.
    """
    return dt.datetime.strptime(text, _TIME).replace(tzinfo=dt.UTC)
