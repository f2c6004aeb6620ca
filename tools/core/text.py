"""Text that a person reads: names without control characters, sizes with units."""

from __future__ import annotations

_UNITS = "BKMGTPE"


def escaped(name: bytes | str) -> str:
    r"""Returns a name or a message as text that no terminal takes for a command.

    Control characters, line breaks, characters that change the direction of text and bytes that are not UTF-8 (in
    bytes, or by `surrogateescape` in text) become escapes such as `\n`, `\x1b`, `\u202e` and `\xff`.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    if 0xDC80 <= ord(char) <= 0xDCFF:  # a byte that is not UTF-8, as PEP 383 has it
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def human_size(size: int) -> str:
    """Returns a number of bytes with a binary unit, as `ls -h` does: `4.0K`, `12M`; less than 1024 bytes as they are.

    It is rounded up, so that what is shown is never less than the size.
    """
    if size < 1024:
        return str(size)
    unit = 1
    while size > 1023 << (10 * unit):
        unit += 1
    scale = 1 << (10 * unit)
    tenths = -(-size * 10 // scale)
    return f"{tenths // 10}.{tenths % 10}{_UNITS[unit]}" if tenths < 100 else f"{-(-size // scale)}{_UNITS[unit]}"
