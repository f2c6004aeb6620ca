"""The folders of an image with the sums of what is below them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tools.report.usage import FileUsage


@dataclass(slots=True)
class Folder:
    """A folder, a file, or a volume's root.

    Attributes:
        name: without the path before it.
        data: of all that is below it, in bytes.
        compressed: the same, compressed.
        count: number of files below it; 1 for a file.
        below: what is in it, by name.
    """

    name: str
    data: int = 0
    compressed: int = 0
    count: int = 0
    below: dict[str, Folder] = field(default_factory=dict)

    def add(self, file: FileUsage) -> None:
        """Counts a file that is below this folder."""
        self.data += file.data
        self.compressed += file.compressed
        self.count += 1

    def largest(self) -> Iterator[Folder]:
        """Yields what is in it, the largest first."""
        yield from sorted(self.below.values(), key=lambda each: (-each.data, each.name))


def folder_tree(files: Iterable[FileUsage]) -> Folder:
    """Returns the root of all volumes, with their folders and files."""
    root = Folder("")
    for file in files:
        root.add(file)
        here = root
        volume, _, path = file.path.partition("/")
        for name in (volume, *path.split("/")):
            here = here.below.setdefault(name, Folder(name))
            here.add(file)
    return root
