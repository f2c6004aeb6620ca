"""Letters as strokes, like those of a plotter: lines between points of a grid of 5 by 9.

Row 0 is the top of capitals, row 2 the top of small letters, row 6 the baseline, row 8 the end of descenders.
"""

from __future__ import annotations

from collections.abc import Iterator

Point = tuple[float, float]

CAPITAL = 6
"""The height of capitals in units of the grid."""

_GAP = 2
_SPACE = 3
_UNKNOWN = "0040460600"

# A glyph is its strokes; a stroke is points, of two digits each: column and row.
_GLYPHS = {
    "A": "0602204246 0444",
    "B": "0006364544330300 3342413000",
    "C": "4130100105163645",
    "D": "00062644422000",
    "E": "40000646 0333",
    "F": "400006 0333",
    "G": "41301001051636454323",
    "H": "0006 4046 0343",
    "I": "0020 1016 0626",
    "J": "4045361605",
    "K": "0006 4004 1346",
    "L": "000646",
    "M": "0600234046",
    "N": "06004640",
    "O": "103041453616050110",
    "P": "06003041423303",
    "Q": "103041453616050110 2446",
    "R": "06003041423303 2346",
    "S": "413010010213334445361605",
    "T": "0040 2026",
    "U": "000516364540",
    "V": "002640",
    "W": "0016233640",
    "X": "0046 4006",
    "Y": "002340 2326",
    "Z": "00400646",
    "a": "12324346 4414051646",
    "b": "0006 0312324345361605",
    "c": "421203051646",
    "d": "4046 4332120305163645",
    "e": "044443321203051646",
    "f": "30201116 0232",
    "g": "42473818 4332120305163645",
    "h": "0006 0312324346",
    "i": "0206 0000",
    "j": "121708 1010",
    "k": "0006 3205 1436",
    "l": "0006",
    "m": "0602 03122326 23324346",
    "n": "0602 0312324346",
    "o": "123243453616050312",
    "p": "0208 0312324345361605",
    "q": "4248 4332120305163645",
    "r": "0602 031232",
    "s": "4212031434453606",
    "t": "10152636 0232",
    "u": "0205163645 4246",
    "v": "022642",
    "w": "0216233642",
    "x": "0246 4206",
    "y": "0226 4218",
    "z": "02420646",
    "0": "103041453616050110 1432",
    "1": "011016 0626",
    "2": "01103041420646",
    "3": "0110304142334445361605 2333",
    "4": "36300444",
    "5": "4000033344453606",
    "6": "30100105163645443303",
    "7": "004016",
    "8": "13020110304142331304051636454433",
    "9": "43130201103041453616",
    ".": "0606",
    ",": "1608",
    ":": "0303 0606",
    ";": "1313 1608",
    "'": "0001",
    '"': "0001 2021",
    "!": "0004 0606",
    "?": "01103041422324 2626",
    "-": "0434",
    "+": "0444 2226",
    "=": "0343 0545",
    "_": "0747",
    "/": "0640",
    "(": "10020517",
    ")": "00121507",
    "[": "10000717",
    "]": "00101707",
    "*": "2125 0442 0244",
    "#": "1115 3135 0242 0444",
    "<": "320436",
    ">": "023406",
}


def width(text: str, unit: float) -> float:
    """Returns how wide a text is, where a unit of the grid is that many pixels."""
    return max(sum(_advance(character) for character in text) - _GAP, 0) * unit


def strokes(text: str, left: float, baseline: float, unit: float) -> Iterator[list[Point]]:
    """Yields the strokes of a text in pixels; a character without a glyph is a box.

    Args:
        text: one line.
        left: where it starts.
        baseline: where its letters stand.
        unit: pixels of a unit of the grid.
    """
    for character in text:
        for stroke in _strokes_of(character):
            yield [(left + x * unit, baseline + (y - CAPITAL) * unit) for x, y in stroke]
        left += _advance(character) * unit


def _strokes_of(character: str) -> list[list[tuple[int, int]]]:
    glyph = "" if character == " " else _GLYPHS.get(character, _UNKNOWN)
    return [[(int(x), int(y)) for x, y in zip(points[::2], points[1::2], strict=True)] for points in glyph.split()]


def _advance(character: str) -> int:
    if character == " ":
        return _SPACE
    return max(x for stroke in _strokes_of(character) for x, _ in stroke) + _GAP
