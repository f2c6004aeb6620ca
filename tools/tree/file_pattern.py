"""Translates the regular expressions of `file_contexts` files to Python's `re`.

They are Perl-compatible and match a whole path, including newlines (file_contexts(5)). Syntax that has another meaning
in Python, such as references to groups, is an error. Groups become non-capturing, so that expressions can be combined.
"""

from __future__ import annotations

from dataclasses import dataclass

_SPECIAL = b".^$?*+|[({"
"""The special characters of an expression, as in libselinux; a path without them is matched literally."""

_REPEATS = b"?*+{"
_CLASSES = {
    b"alnum": b"0-9A-Za-z",
    b"alpha": b"A-Za-z",
    b"blank": rb" \t",
    b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": b"0-9",
    b"graph": rb"\x21-\x7e",
    b"lower": b"a-z",
    b"print": rb"\x20-\x7e",
    b"punct": rb"!-/:-@\[-`{-~",
    b"space": rb"\t-\r ",
    b"upper": b"A-Z",
    b"word": b"0-9A-Za-z_",
    b"xdigit": b"0-9A-Fa-f",
}
_LETTER_ESCAPES = b"dDwWsS"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A translated expression.

    Attributes:
        regex: the expression for Python's `re`, without capturing groups.
        literal: the only path that it matches, or None if it has special characters.
        folder: the directory of its literal prefix, which contains all matches; without a trailing slash, so that it is
            empty for the root.
    """

    regex: bytes
    literal: bytes | None
    folder: bytes


def parse(text: bytes) -> Pattern:
    """Translates an expression.

    Raises:
        ValueError: the expression is invalid or not supported.
    """
    parser = _Parser(text)
    parser.run()
    plain = bytes(parser.plain)
    literal = None if parser.special else plain
    if parser.special and parser.special in _REPEATS:
        plain = plain[:-1]
    return Pattern(bytes(parser.regex), literal, plain.rpartition(b"/")[0])


class _Parser:
    """Translates an expression in one pass."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0
        self._depth = 0
        self.regex = bytearray()
        self.plain = bytearray()  # the literal prefix, without backslashes
        self.special = b""  # the first special character

    def _take(self) -> bytes:
        """Returns the next character; empty at the end."""
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def run(self) -> None:
        while character := self._take():
            if character == b"\\":
                self._escape()
                continue
            if character in _SPECIAL:
                self.special = self.special or character
            elif not self.special:
                self.plain += character
            if character == b"[":
                self._set()
            elif character == b"(":
                self._open()
            else:
                self._close_or_plain(character)
        if self._depth:
            raise ValueError("a '(' is not closed")

    def _close_or_plain(self, character: bytes) -> None:
        if character == b")":
            self._depth -= 1
            if self._depth < 0:
                raise ValueError("a ')' has no '('")
        if character == b"|" and not self._depth:
            raise ValueError("alternatives with '|' must be in parentheses")
        self.regex += character

    def _escape(self) -> None:
        character = self._take()
        if not character:
            raise ValueError("it ends in a backslash")
        if character.isalnum():
            if character not in _LETTER_ESCAPES:
                raise ValueError(f"'\\{character.decode()}' is not supported")
            self.special = self.special or b"\\"
        elif not self.special:
            self.plain += character
        self.regex += b"\\" + character

    def _open(self) -> None:
        if self._text[self._at : self._at + 1] == b"?":
            if self._text[self._at : self._at + 2] != b"?:":
                raise ValueError("'(?' is supported in '(?:' only")
            self._at += 2
        self.regex += b"(?:"
        self._depth += 1

    def _set(self) -> None:
        """Translates a bracket expression, whose first character may be a `]`."""
        self.regex += b"["
        if self._text[self._at : self._at + 1] == b"^":
            self.regex += self._take()
        first = True
        while (character := self._take()) != b"]" or first:
            first = False
            if not character:
                raise ValueError("a '[' is not closed")
            if character == b"[" and self._text[self._at : self._at + 1] == b":":
                name, colon, _ = self._text[self._at + 1 :].partition(b":]")
                if not colon or name not in _CLASSES:
                    raise ValueError("it has an unknown class of characters")
                self.regex += _CLASSES[name]
                self._at += len(name) + 3
            elif character == b"\\":
                self.regex += character + self._take()
            else:
                self.regex += (b"\\" if character in b"[]&|~" else b"") + character
        self.regex += b"]"
