"""What has changed between two locks: names and versions, in the same words for every kind of package."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tools.core.text import escaped


def version_changes(
    old: Mapping[str, str], new: Mapping[str, str], compare: Callable[[str, str], int]
) -> Iterator[str]:
    """Yields a line for each package that was added, removed, upgraded or downgraded, and one that counts them.

    Args:
        old: versions by the package's name before.
        new: versions by the package's name now.
        compare: returns a negative number, zero or a positive number if the first version is older, as old or newer.
    """
    counts = {"added": 0, "removed": 0, "upgraded": 0, "downgraded": 0}
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            word, versions = "added", new[name]
        elif name not in new:
            word, versions = "removed", old[name]
        elif order := compare(old[name], new[name]):
            word, versions = "upgraded" if order < 0 else "downgraded", f"{old[name]} -> {new[name]}"
        else:
            continue
        counts[word] += 1
        yield escaped(f"{word}: {name} {versions}")
    yield ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no package has changed"
