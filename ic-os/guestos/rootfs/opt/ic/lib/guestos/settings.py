"""Reads the files in the config store that have one `key=value` per line.

A line is divided at its first `=`. Empty lines and those that begin with `#` are skipped. A key without a value counts
as not given: the tools that write these files write every key.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from guestos.errors import GuestError


@dataclass(frozen=True, slots=True)
class Setting:
    """A value and where it stands.

    Attributes:
        value: the text behind the equals sign; never empty.
        origin: file and line, for messages.
    """

    value: str
    origin: str


def read(path: str, keys: Collection[str]) -> dict[str, Setting]:
    """Returns the settings of a file by their keys; none if the file does not exist.

    Args:
        path: of the file.
        keys: the keys to return; others are ignored.

    Raises:
        GuestError: the file cannot be read, a line is not `key=value`, or a key is given twice.
    """
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise GuestError(f"{path}: cannot be read: {error}") from error
    settings: dict[str, Setting] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        origin = f"{path}:{number}"
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise GuestError(f"{origin}: expected KEY=VALUE, not {line!r}")
        if key not in keys or not value:
            continue
        if key in settings:
            raise GuestError(f"{origin}: {key} is given twice, first at {settings[key].origin}")
        settings[key] = Setting(value, origin)
    return settings
