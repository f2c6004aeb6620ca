"""What a fuzz target is, and mutations that all targets share."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERESTING = (0, 1, 2, 3, 4, 7, 8, 127, 128, 255, 256, 511, 512, 513, 1023, 1024, 4095, 4096, 65535, 65536)
INTERESTING += (2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**48, 2**63 - 1, 2**63, 2**64 - 1)
WORDS = (b"", b"\0", b"\n", b"\r\n", b" ", b"/", b"..", b"../../x", b"\xff\xfe", b"\x1b[2J", b"-1", b"9" * 5000)
WORDS += (
    b"\xc3\xa9",
    b"\xd9\xa1",
    b"\xe2\x80\xae",
    b"0x10",
    b"1e9",
    b"nan",
    b"%s",
    b"a" * 300,
    b"=",
    b":",
    b"#",
    b"\\",
)


@dataclass(frozen=True)
class Target:
    """A reader under test.

    Attributes:
        make: returns an input.
        read: reads the file with the input; may write into the directory that it is in.
        refuses: exceptions by which the reader refuses an input; any other one is a defect.
    """

    make: Callable[[random.Random], bytes]
    read: Callable[[Path], None]
    refuses: tuple[type[Exception], ...]


def number(chance: random.Random) -> int:
    """Returns a number that is near a limit, or any."""
    if chance.random() < 0.7:
        return max(0, chance.choice(INTERESTING) + chance.randint(-1, 1))
    return chance.getrandbits(chance.choice((4, 8, 16, 32, 64)))


def text_number(chance: random.Random) -> bytes:
    """Returns a number in digits, or what could be taken for one."""
    return chance.choice(WORDS) if chance.random() < 0.2 else b"%d" % number(chance)


def mutated(chance: random.Random, data: bytes, places: Sequence[int] = (), most: int = 6) -> bytes:
    """Returns data with some changes.

    Args:
        chance: where chance comes from.
        data: what to change.
        places: offsets that are worth a change; all if empty.
        most: number of changes.
    """
    changed = bytearray(data)
    for _ in range(chance.randint(0, most)):
        if not changed:
            break
        at = chance.choice(places) if places else chance.randrange(len(changed))
        match chance.randrange(7):
            case 0 | 1:
                size, form = chance.choice(((1, "B"), (2, "<H"), (4, "<I"), (8, "<Q"), (4, ">I")))
                field = struct.pack(form, number(chance) & (1 << 8 * size) - 1)
                changed[at : at + size] = field[: max(0, len(changed) - at)]
            case 2:
                changed[at : at + 1] = bytes([changed[min(at, len(changed) - 1)] ^ 1 << chance.randrange(8)])
            case 3:
                changed[at : at + chance.randint(0, 64)] = chance.choice(WORDS)
            case 4:
                del changed[at : at + chance.choice((1, 2, 16, 512, len(changed)))]
            case 5:
                size = chance.choice((1, 4, 12, 32, 256, 512, 1024, 4096))
                source = chance.randrange(len(changed))
                changed[at : at + size] = changed[source : source + size]
            case 6:
                size = chance.choice((1, 16, 512, 1024))
                changed[at:at] = changed[at : at + size]
    return bytes(changed)


def document(chance: random.Random, valid: Sequence[bytes], separators: Sequence[bytes]) -> bytes:
    """Returns valid lines, some of which are left out, repeated, or replaced as `lines` does it."""
    result = list(valid)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(valid))
        result[at : at + chance.randint(0, 1)] = lines(chance, valid, separators).split(b"\n")[:1]
    return b"\n".join(result) + b"\n"


def lines(chance: random.Random, samples: Sequence[bytes], separators: Sequence[bytes]) -> bytes:
    """Returns lines made of the words of sample lines, of numbers, and of what readers may stumble over.

    Args:
        chance: where chance comes from.
        samples: valid lines.
        separators: what is between words, the first one in most cases.
    """
    result = []
    for _ in range(chance.randint(0, 8)):
        line = chance.choice(samples)
        if chance.random() < 0.7:
            separator = separators[0]
            words = line.split(separator)
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(words) + 1)
                other = chance.choice(chance.choice(samples).split(separator))
                words[at : at + chance.randint(0, 1)] = [
                    chance.choice((other, text_number(chance), chance.choice(WORDS)))
                ]
            line = chance.choice(separators).join(words) if chance.random() < 0.2 else separator.join(words)
        result.append(line)
    text = b"\n".join(result) + chance.choice((b"\n", b"\n", b"", b"\r\n"))
    return mutated(chance, text, most=2) if chance.random() < 0.3 else text
