"""The arguments of commands that look into an image: which file, member, partition and path."""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.core.text import escaped
from tools.image.extents import Image
from tools.inspect.volumes import is_disk, open_partition, read_tree
from tools.tar.image_file import is_archive, open_images
from tools.tree.compare import printable
from tools.tree.node import Directory, Node
from tools.tree.paths import components, lookup


@dataclass(frozen=True, kw_only=True)
class PlaceArguments:
    """The arguments that name an image."""

    image: FileName = argument("image of a file system or a disk: raw, or a tar with it", positional=True)
    member: str | None = argument("name of the image in a tar of several", default=None)
    partition: str | None = argument("partition of the disk, by name or number", default=None)

    def open(self) -> Image:
        """Returns the image, or the partition of it.

        Raises:
            UserError: there is none, or one of several.
        """
        if names := ", ".join(escaped(name) for name in self.members()):
            raise UserError(f"{self.image}: has several files; say by --member which: {names}")
        return open_partition(self.image, self.partition, self.member)

    def members(self) -> dict[str, Image]:
        """Returns the files of a tar of several by their names; none for a raw file, or where `member` says which.

        Raises:
            UserError: the file cannot be read.
        """
        found = open_images(self.image) if self.member is None and is_archive(self.image) else {}
        return found if len(found) > 1 else {}

    @property
    def origin(self) -> str:
        """What to call it in messages."""
        parts = (self.image, self.member, None if self.partition is None else f"partition {self.partition}")
        return ": ".join(part for part in parts if part is not None)

    def tree(self, image: Image, path: str) -> Directory:
        """Returns the files of the image.

        Args:
            image: as from `open`.
            path: of a file that is wanted, for the message.

        Raises:
            UserError: the image is no file system.
        """
        if is_disk(image):
            raise UserError(f"{self.origin}: is a disk; say by --partition in which partition {path} is")
        return read_tree(image, self.origin)

    def node(self, root: Directory, path: str, *, follow: bool = False) -> tuple[bytes, Node]:
        """Returns the path of a file or directory in the image without its leading slash, and the node there.

        Args:
            root: as from `tree`.
            path: from the root of the file system.
            follow: whether a symbolic link at the end of the path is followed.

        Raises:
            UserError: there is none.
        """
        parts = components(path)
        node = lookup(root, parts, follow=follow)
        if node is None:
            raise UserError(f"{self.origin}: has no {printable(b'/'.join(parts))}")
        return b"/".join(parts), node
