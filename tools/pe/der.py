"""Writes ASN.1 in DER (X.690): the few types that signatures of PE files consist of."""

from __future__ import annotations

INTEGER, BIT_STRING, OCTET_STRING, NULL, OBJECT_IDENTIFIER = 0x02, 0x03, 0x04, 0x05, 0x06
SEQUENCE, SET = 0x30, 0x31
_CONTEXT, _CONSTRUCTED = 0x80, 0x20


def element(tag: int, *contents: bytes) -> bytes:
    """Returns an element: its tag, length and contents."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*contents: bytes) -> bytes:
    """Returns a SEQUENCE of elements."""
    return element(SEQUENCE, *contents)


def set_of(*contents: bytes) -> bytes:
    """Returns a SET OF elements, in the order that DER demands."""
    return element(SET, *sorted(contents))


def tagged(number: int, *contents: bytes, constructed: bool = True) -> bytes:
    """Returns an element with a context-specific tag; with one element as the content, that is an explicit tag."""
    return element(_CONTEXT | (_CONSTRUCTED if constructed else 0) | number, *contents)


def integer(value: int) -> bytes:
    """Returns an INTEGER that is not negative."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def object_identifier(text: str) -> bytes:
    """Returns an OBJECT IDENTIFIER, such as 1.2.840.113549."""
    first, second, *rest = (int(word) for word in text.split("."))
    encoded = bytearray()
    for number in (first * 40 + second, *rest):
        groups = [number & 0x7F]
        while number := number >> 7:
            groups.append(number & 0x7F | 0x80)
        encoded += bytes(reversed(groups))
    return element(OBJECT_IDENTIFIER, bytes(encoded))
