"""Reads the files in the config store that have one `key=value` per line.

Lines end with LF or CRLF, and a byte order mark before the first one is skipped: people write such files, too, with
editors of other systems. A line is divided at its first `=`. Empty lines and those that begin with `#` are skipped. A
key without a value counts as not given: the tools that write these files write every key.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
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


def read(path: str, keys: Collection[str], invalid: Callable[[str], object] | None = None) -> dict[str, Setting]:
    """Returns the settings of a file by their keys; none if the file does not exist.

    Args:
        path: of the file.
        keys: the keys to return; others are ignored.
        invalid: is called with a message about each line that is not `key=value`, or gives a key again, and which is
            ignored; by default it is an error.

    Raises:
        GuestError: the file cannot be read, or a line is invalid.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = file.read().split("\n")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as error:
        raise GuestError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error
    settings: dict[str, Setting] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        origin = f"{path}:{number}"
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            problem = f"{origin}: expected KEY=VALUE, not {line!r}"
        elif key not in keys or not value:
            continue
        elif key in settings:
            problem = f"{origin}: {key} is given twice, first at {settings[key].origin}"
        else:
            settings[key] = Setting(value, origin)
            continue
        if invalid is None:
            raise GuestError(problem)
        invalid(problem)
    return settings
