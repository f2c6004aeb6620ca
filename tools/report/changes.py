"""The differences between the reports on two builds of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tools.report.usage import FileUsage, PackageUsage, Usage


@dataclass(frozen=True, slots=True)
class Change:
    """A volume, package or file that differs.

    Attributes:
        name: of the volume or package, or path of the file.
        before: its data in bytes in the earlier build; None if it wasn't there.
        after: the same in the later build; None if it is gone.
        note: what else differs, such as the versions of a package.
    """

    name: str
    before: int | None
    after: int | None
    note: str = ""

    @property
    def growth(self) -> int:
        """How much larger it is now, in bytes."""
        return (self.after or 0) - (self.before or 0)


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes, in each list those of the most bytes first.

    Attributes:
        volumes: whose data has another size.
        packages: with another version or another size.
        files: with another content.
    """

    volumes: list[Change]
    packages: list[Change]
    files: list[Change]


def changes(before: Usage, after: Usage) -> Changes:
    """Returns the differences between two reports."""
    volumes = _joined(
        {each.name: each.data for each in before.volumes}, {each.name: each.data for each in after.volumes}
    )
    return Changes(
        volumes=_by_growth(each for each in volumes if each.growth or None in (each.before, each.after)),
        packages=_by_growth(_packages(before.packages, after.packages)),
        files=_by_growth(_files(before.files, after.files)),
    )


def _joined(before: dict[str, int], after: dict[str, int]) -> Iterator[Change]:
    for name in dict.fromkeys((*before, *after)):
        yield Change(name, before.get(name), after.get(name))


def _packages(before: Iterable[PackageUsage], after: Iterable[PackageUsage]) -> Iterator[Change]:
    old, new = ({each.name: each for each in packages} for packages in (before, after))
    for name in dict.fromkeys((*old, *new)):
        one, other = old.get(name), new.get(name)
        if one and other and (one.version, one.data) == (other.version, other.data):
            continue
        versions = " → ".join(dict.fromkeys(each.version for each in (one, other) if each))
        yield Change(name, one.data if one else None, other.data if other else None, versions)


def _files(before: Iterable[FileUsage], after: Iterable[FileUsage]) -> Iterator[Change]:
    old, new = ({each.path: each for each in files} for files in (before, after))
    for path in dict.fromkeys((*old, *new)):
        one, other = old.get(path), new.get(path)
        if one and other and one.sha256 == other.sha256:
            continue
        note = "added" if one is None else "removed" if other is None else "changed"
        yield Change(path, one.data if one else None, other.data if other else None, note)


def _by_growth(found: Iterable[Change]) -> list[Change]:
    return sorted(found, key=lambda change: (-abs(change.growth), change.name))
