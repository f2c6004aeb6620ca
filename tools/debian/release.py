"""Release files of archives: what their signatures cover, above all the hashes of the package lists.

See https://wiki.debian.org/DebianRepository/Format, "Release" files.
"""

from __future__ import annotations

import datetime as dt
import email.utils
import re
from dataclasses import dataclass

from tools.core.errors import UserError

_FIELD = re.compile(r"([!-9;-~]+):[ \t]*(.*)")
_LISTED = re.compile(r"[ \t]+([0-9a-f]{64})[ \t]+([0-9]{1,18})[ \t]+(\S+)")
_FORMS = (".xz", ".gz", "")
"""Suffixes of package lists that can be read, the smallest first."""


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file that a Release file lists.

    Attributes:
        path: relative to the suite's directory.
        sha256: in hexadecimal.
        size: in bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Release:
    """A Release file.

    Attributes:
        origin: name of the file, for messages.
        fields: values of one line, by name in lower case.
        files: the files in the field SHA256, by path.
    """

    origin: str
    fields: dict[str, str]
    files: dict[str, ListedFile]

    @property
    def date(self) -> dt.datetime:
        """The time of the release, in UTC.

        Raises:
            UserError: it has no date, an invalid one, or one without a time zone.
        """
        value = self.fields.get("date", "")
        if not value:
            raise UserError(f"{self.origin}: has no field Date; use another mirror")
        try:
            date = email.utils.parsedate_to_datetime(value.replace("UTC", "+0000"))
            if date.tzinfo is None:
                raise ValueError("it has no time zone")
            return date.astimezone(dt.UTC)
        except (ValueError, OverflowError) as error:
            raise UserError(f"{self.origin}: has the invalid date {value[:40]!r}; use another mirror") from error

    @property
    def automatic(self) -> bool:
        """Whether apt upgrades to its packages (NotAutomatic is not set)."""
        return self.fields.get("notautomatic", "no") != "yes"

    def is_of(self, suite: str) -> bool:
        """Returns whether the suite has this name, as suite or as codename."""
        return suite in (self.fields.get("suite"), self.fields.get("codename"))

    def package_list(self, component: str, architecture: str) -> ListedFile:
        """Returns the smallest form of a list of binary packages.

        Raises:
            UserError: it is not listed.
        """
        path = f"{component}/binary-{architecture}/Packages"
        for suffix in _FORMS:
            if path + suffix in self.files:
                return self.files[path + suffix]
        raise UserError(f"{self.origin}: lists no SHA-256 of {path}; check the components of the manifest")


def parse_release(text: str, origin: str) -> Release:
    """Returns the content of a Release file; `text` is what was signed."""
    fields: dict[str, str] = {}
    files: dict[str, ListedFile] = {}
    name = ""
    for line in text.splitlines():
        if match := _FIELD.fullmatch(line):
            name = match[1].lower()
            fields.setdefault(name, match[2].strip())
        elif name == "sha256" and (match := _LISTED.fullmatch(line)):
            files[match[3]] = ListedFile(match[3], match[1], int(match[2]))
    return Release(origin, fields, files)
