"""Sizes in attributes."""

_FACTORS = {"G": 1 << 30, "K": 1 << 10, "M": 1 << 20, "T": 1 << 40}

# Bytes of a sector; a partition has whole ones.
SECTOR = 512

def _parsed(text):
    """Returns a number of bytes, or None if the text is not a size."""
    digits, factor = (text[:-1], _FACTORS[text[-1]]) if text and text[-1] in _FACTORS else (text, 1)
    return int(digits) * factor if digits.isdigit() else None

def _remedy(text):
    """Returns what to write in place of a text that is not a size."""
    meant = text.replace(" ", "").upper().removesuffix("B").removesuffix("I")
    return "write a number of bytes, or one with K, M, G or T" + (": %r" % meant if _parsed(meant) else ", such as \"32M\"")

def parse_size(text, where, unit = None):
    """Returns a number of bytes, and fails if the text is not a size.

    Args:
        text: digits, and optionally K, M, G or T for a power of 1024.
        where: name of the value for messages.
        unit: bytes of which the size must be a multiple, and more than none; None if any size is valid.
    """
    if type(text) != "string":
        fail("%s: %r is of type %s; write a size as a string, such as \"32M\"" % (where, text, type(text)))
    size = _parsed(text)
    if size == None:
        fail("%s: %r is not a size; %s" % (where, text, _remedy(text)))
    if unit and size < unit:
        fail("%s: %r is less than %d bytes; choose a larger size" % (where, text, unit))
    if unit and size % unit:
        fail("%s: %r is not a multiple of %d bytes; the next one is \"%d\"" % (where, text, unit, (size // unit + 1) * unit))
    return size
