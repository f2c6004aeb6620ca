"""Parses the text format of protocol buffers, as Bazel writes it: without comments, extensions and list literals.

See https://protobuf.dev/reference/protobuf/textformat-spec/.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tools.core.errors import UserError

_TOKEN = re.compile(
    r"""\s*(?:(?P<name>[A-Za-z_]\w*)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<number>-?[\d.]+)|(?P<mark>[{}:]))"""
)
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{1,2})|(.))")
_ESCAPES = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}


class Message:
    """A message: the values of its fields; a field that isn't set has none."""

    def __init__(self) -> None:
        self._fields: dict[str, list[str | Message]] = {}

    def add(self, name: str, value: str | Message) -> None:
        """Adds a value of a field."""
        self._fields.setdefault(name, []).append(value)

    def names(self) -> list[str]:
        """Returns the names of the fields with values."""
        return list(self._fields)

    def texts(self, name: str) -> list[str]:
        """Returns the values of a scalar field, unconverted."""
        return [value for value in self._fields.get(name, []) if isinstance(value, str)]

    def text(self, name: str) -> str:
        """Returns the last value of a scalar field, or an empty string."""
        return "".join(self.texts(name)[-1:])

    def messages(self, name: str) -> list[Message]:
        """Returns the values of a message field."""
        return [value for value in self._fields.get(name, []) if isinstance(value, Message)]

    def message(self, name: str) -> Message:
        """Returns the last value of a message field, or an empty message."""
        return (self.messages(name) or [Message()])[-1]


def parse(text: str, origin: str) -> Message:
    """Parses a message.

    Args:
        text: the message in text format.
        origin: name of its file in error messages.

    Raises:
        UserError: the text is invalid.
    """
    tokens = _tokens(text, origin)
    root = Message()
    open_messages = [root]
    for kind, token, line in tokens:
        if token == "}" and len(open_messages) > 1:
            open_messages.pop()
            continue
        mark = next(tokens, ("end", "", line))[1]
        if kind != "name" or mark not in ("{", ":"):
            raise UserError(f"{origin}:{line}: {token!r} is not a field of a message")
        if mark == "{":
            inner = Message()
            open_messages[-1].add(token, inner)
            open_messages.append(inner)
            continue
        value_kind, value, _ = next(tokens, ("end", "", line))
        if value_kind not in ("name", "string", "number"):
            raise UserError(f"{origin}:{line}: {token}: has no value")
        open_messages[-1].add(token, _unquoted(value) if value_kind == "string" else value)
    if len(open_messages) > 1:
        raise UserError(f"{origin}: ends within a message; it is truncated")
    return root


def _tokens(text: str, origin: str) -> Iterator[tuple[str, str, int]]:
    """Yields (kind, text, line) for each token."""
    at, line, end = 0, 1, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise UserError(f"{origin}:{line}: is not a valid message: {text[at : at + 40].strip()!r}")
        line += text.count("\n", at, found.start(found.lastgroup or 0))
        yield found.lastgroup or "", found[found.lastgroup or 0], line
        at = found.end()


def _unquoted(literal: str) -> str:
    def replace(found: re.Match[bytes]) -> bytes:
        octal, hexadecimal, other = found.groups()
        if other is not None:
            return _ESCAPES.get(other, other)
        return bytes([int(octal, 8) if octal else int(hexadecimal, 16)])

    return _ESCAPE.sub(replace, literal[1:-1].encode()).decode()
