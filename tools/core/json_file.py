"""JSON from outside: of bounded size and nesting, with one kind of error for all that can be wrong with it.

Stricter than `json`: no key twice in an object, no NaN or Infinity, and no whole number of more than 40 digits.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, BinaryIO

from tools.core.errors import UserError
from tools.core.text import human_size

_MOST_BYTES = 64 << 20
_PIECE = 1 << 20
_MOST_LEVELS = 100
"""Most objects and lists within each other; what a parser can take depends on the interpreter."""

_MOST_DIGITS = 40
"""Most digits of a whole number: more than any size needs, and few enough that messages stay short."""

_TOKEN = re.compile(
    r'(?P<text>"[^"\\]*(?:\\.[^"\\]*)*")(?P<colon>\s*:)?'
    r"|(?P<open>[\[{])|(?P<close>[\]}])"
    r"|(?P<number>-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
    r"|(?P<constant>-?(?:NaN|Infinity))",
    re.DOTALL,
)


def read_json(path: str | os.PathLike[str], *, most_bytes: int = _MOST_BYTES, advice: str = "") -> Any:
    """Returns the value in a JSON file.

    Args:
        path: the file.
        most_bytes: largest size of the file; no more than that is read of it.
        advice: what to do about a file that can't be used, for the end of the message.

    Raises:
        UserError: the file cannot be read, is too large, or `parse_json` refuses it.
    """
    try:
        return _read(path, os.fspath(path), most_bytes)
    except UserError as error:
        raise UserError(f"{error}; {advice}" if advice else str(error)) from error


def _read(path: str | os.PathLike[str], where: str, most_bytes: int) -> Any:
    try:
        with open(path, "rb") as file:
            data = _start(file, most_bytes + 1)
    except OSError as error:
        raise UserError(f"{where}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a name with a NUL
        raise UserError(f"{where!r}: cannot be read: {error}") from error
    if len(data) > most_bytes:
        raise UserError(f"{where}: is larger than {human_size(most_bytes)}, the most that such a file may have")
    try:
        return parse_json(data.decode(), where)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(f"{where}:{line}: is not JSON: 0x{data[error.start]:02x} is not UTF-8") from error


def _start(file: BinaryIO, size: int) -> bytes:
    """Returns up to `size` bytes of a file. In pieces, since `read` takes memory for all that it may return."""
    pieces = []
    while size and (piece := file.read(min(size, _PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def parse_json(text: str, where: str) -> Any:
    """Returns the value of a JSON text.

    Args:
        text: the text.
        where: what it is from, for messages.

    Raises:
        UserError: it is not JSON, has a key twice in an object, a number of too many digits, or too many levels; the
            message begins with `where` and the line.
    """
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_int=_whole_number, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise UserError(f"{where}:{error.lineno}: is not JSON: {error.msg}, column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise _refusal(text, where) from error
    if _levels(value) > _MOST_LEVELS:
        raise _refusal(text, where)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ValueError("a key is given twice")
    return result


def _whole_number(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise ValueError(f"{digits[:20]}… is a number of {len(digits)} digits; write at most {_MOST_DIGITS}")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"is not JSON: {name}")


def _levels(value: Any) -> int:
    """Returns the number of objects and lists that are within each other, or a little more than the limit."""
    levels = 0
    containers = [value]
    while levels <= _MOST_LEVELS and (containers := [each for each in containers if isinstance(each, dict | list)]):
        levels += 1
        containers = [item for each in containers for item in (each.values() if isinstance(each, dict) else each)]
    return levels


def _refusal(text: str, where: str) -> UserError:
    """Returns the error for a text that is refused for another reason than its grammar, with the place."""
    keys: list[set[str]] = []
    for token in _TOKEN.finditer(text):
        try:
            _check(token, keys)
        except ValueError as error:
            start = token.start()
            line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
            return UserError(f"{where}:{line}: {error} (column {column})")
    return UserError(f"{where}: is nested too deeply to be read here")


def _check(token: re.Match[str], keys: list[set[str]]) -> None:
    """Raises a ValueError if a text is to be refused because of a token.

    Args:
        token: a match of `_TOKEN`.
        keys: the keys so far of each object or list that the token is in; brought up to date.
    """
    match token.lastgroup:
        case "open":
            keys.append(set())
            if len(keys) > _MOST_LEVELS:
                raise ValueError(f"has more than {_MOST_LEVELS} objects and lists within each other")
        case "close" if keys:
            keys.pop()
        case "colon" if keys:
            key = json.loads(token["text"])
            if key in keys[-1]:
                raise ValueError(f"{key}: is given twice")
            keys[-1].add(key)
        case "number" if token[0].lstrip("-").isdigit():
            _whole_number(token[0])
        case "constant":
            _refuse_constant(token[0])
