"""Reads JSON5 (https://spec.json5.org), in which ic.json5 is written. Strict: a key that is given twice is an error."""

from __future__ import annotations

import re
from typing import Any, NoReturn

_SPACE = re.compile(r"(?:[\s\ufeff]|//[^\n\r\u2028\u2029]*|/\*(?s:.*?)\*/)*")
_NAME = re.compile(r"[^\W\d][\w$\u200c\u200d]*|\$[\w$\u200c\u200d]*")
_NUMBER = re.compile(
    r"[+-]?(?:(?P<hex>0[xX][0-9a-fA-F]+)|Infinity|NaN|(?P<int>0|[1-9][0-9]*)(?![0-9.eE])"
    r"|(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)(?![\w$.])"
)
_PLAIN = {'"': re.compile(r'[^"\\\n\r]*'), "'": re.compile(r"[^'\\\n\r]*")}
_LINE_END = re.compile(r"\r\n|[\n\r\u2028\u2029]")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WORDS: dict[str, Any] = {"null": None, "true": True, "false": False}


class Json5Error(ValueError):
    """The text is not JSON5; the message has the line."""


def parse(text: str) -> Any:
    """Returns the value of a JSON5 text.

    Raises:
        Json5Error: it is invalid.
    """
    reader = _Reader(text)
    value = reader.value()
    reader.space()
    if reader.position < len(text):
        reader.fail("expected the end of the text")
    return value


class _Reader:
    """Reads values from a position on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def fail(self, what: str) -> NoReturn:
        line = self.text.count("\n", 0, self.position) + 1
        found = self.text[self.position : self.position + 20]
        raise Json5Error(f"line {line}: {what}, found {found!r}" if found else f"line {line}: {what}, found the end")

    def space(self) -> None:
        """Skips white space and comments."""
        match = _SPACE.match(self.text, self.position)
        assert match is not None
        self.position = match.end()

    def take(self, character: str) -> bool:
        """Skips white space and a character, if it is the next one; returns whether it was."""
        self.space()
        found = self.text.startswith(character, self.position)
        self.position += len(character) if found else 0
        return found

    def value(self) -> Any:
        if self.take("{"):
            return self.members()
        if self.take("["):
            return self.items()
        if self.text.startswith(('"', "'"), self.position):
            return self.string()
        number = _NUMBER.match(self.text, self.position)
        if number:
            self.position = number.end()
            return _number(number)
        name = _NAME.match(self.text, self.position)
        if not name or name[0] not in _WORDS:
            self.fail("expected a value")
        self.position = name.end()
        return _WORDS[name[0]]

    def members(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        while not self.take("}"):
            key = self.key()
            if key in result:
                self.fail(f"the key {key} is given twice")
            if not self.take(":"):
                self.fail(f"expected : after the key {key}")
            result[key] = self.value()
            if not self.take(","):
                if not self.take("}"):
                    self.fail(f"expected , or }} after the value of {key}")
                return result
        return result

    def key(self) -> str:
        self.space()
        if self.text.startswith(('"', "'"), self.position):
            return self.string()
        name = _NAME.match(self.text, self.position)
        if not name:
            self.fail("expected a key")
        self.position = name.end()
        return name[0]

    def items(self) -> list[Any]:
        result = []
        while not self.take("]"):
            result.append(self.value())
            if not self.take(","):
                if not self.take("]"):
                    self.fail("expected , or ]")
                return result
        return result

    def string(self) -> str:
        quote = self.text[self.position]
        self.position += 1
        parts = []
        while True:
            plain = _PLAIN[quote].match(self.text, self.position)
            assert plain is not None
            parts.append(plain[0])
            self.position = plain.end()
            if self.text.startswith(quote, self.position):
                self.position += 1
                return "".join(parts)
            if not self.text.startswith("\\", self.position):
                self.fail("the string has no end")
            self.position += 1
            parts.append(self.escape())

    def escape(self) -> str:
        """Returns what an escape sequence behind a backslash stands for."""
        end = _LINE_END.match(self.text, self.position)
        if end:
            self.position = end.end()
            return ""
        character = self.text[self.position : self.position + 1]
        for letter, digits in (("x", 2), ("u", 4)):
            if character == letter:
                code = self.text[self.position + 1 : self.position + 1 + digits]
                if not re.fullmatch(f"[0-9a-fA-F]{{{digits}}}", code):
                    self.fail(f"expected {digits} hexadecimal digits after \\{letter}")
                self.position += 1 + digits
                return self.joined(int(code, 16))
        if not character or (character.isdecimal() and not re.match(r"0(?![0-9])", self.text[self.position :])):
            self.fail("not an escape sequence")
        self.position += 1
        return "\0" if character == "0" else _ESCAPES.get(character, character)

    def joined(self, code: int) -> str:
        """Returns a character, of two UTF-16 code units if the second one follows."""
        second = re.compile(r"\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE).match(self.text, self.position)
        if 0xD800 <= code < 0xDC00 and second:
            self.position = second.end()
            return chr(0x10000 + ((code - 0xD800) << 10) + (int(second[1], 16) - 0xDC00))
        return chr(code)


def _number(match: re.Match[str]) -> int | float:
    text = match[0]
    sign = -1 if text.startswith("-") else 1
    if match["hex"]:
        return sign * int(match["hex"], 16)
    return sign * int(match["int"]) if match["int"] else float(text.replace("Infinity", "inf"))
