"""Sizes in attributes."""

_FACTORS = {"G": 1 << 30, "K": 1 << 10, "M": 1 << 20, "T": 1 << 40}

def parse_size(text, where):
    """Returns a number of bytes.

    Args:
        text: digits, and optionally K, M, G or T for a power of 1024.
        where: name of the value for messages.
    """
    digits, factor = (text[:-1], _FACTORS[text[-1]]) if text and text[-1] in _FACTORS else (text, 1)
    if not digits.isdigit():
        fail("%s: %r is not a size; write a number of bytes, or one with K, M, G or T" % (where, text))
    return int(digits) * factor
