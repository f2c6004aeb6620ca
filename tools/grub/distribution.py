"""Reads the files of GRUB from Debian packages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tools.core.errors import UserError
from tools.debian.deb import Deb
from tools.debian.paths import member_path

_FOLDER = "usr/lib/grub/x86_64-efi/"


@dataclass(frozen=True, slots=True)
class Distribution:
    """The files of GRUB, of a folder such as /usr/lib/grub/x86_64-efi.

    Attributes:
        files: contents by names, among them `kernel.img`, `moddep.lst`, and modules, `NAME.mod`.
        origin: where they are from, for messages.
    """

    files: Mapping[str, bytes]
    origin: str

    def read(self, name: str) -> bytes:
        """Returns the content of a file.

        Raises:
            UserError: there is no such file.
        """
        try:
            return self.files[name]
        except KeyError as error:
            raise UserError(f"{self.origin}: does not contain {name} of GRUB for x86_64-efi") from error


def read_distribution(packages: Sequence[Deb]) -> Distribution:
    """Returns the files of GRUB for UEFI on x86-64 in some packages, such as grub-efi-amd64-bin.

    Raises:
        UserError: a package is damaged.
    """
    files = {}
    for package in packages:
        with package.data() as archive:
            for entry in archive:
                folder, _, name = member_path(entry.name).rpartition("/")
                content = archive.extractfile(entry) if entry.isreg() and f"{folder}/" == _FOLDER else None
                if content is not None:
                    files[name] = content.read()
    return Distribution(files, ", ".join(package.path for package in packages))
