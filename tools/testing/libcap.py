"""File capabilities as libcap sees them, the library of setcap(8) and getcap(8)."""

from __future__ import annotations

import ctypes
import functools
import os

from tools.testing.oracles import unavailable

_FLAGS = {"e": 0, "p": 1, "i": 2}  # cap_flag_t of sys/capability.h


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libcap.so.2", use_errno=True)
    except OSError:
        unavailable("libcap.so.2 is missing: install the Debian package libcap2")
    library.cap_from_text.restype = library.cap_get_file.restype = library.cap_to_text.restype = ctypes.c_void_p
    library.cap_from_text.argtypes = library.cap_get_file.argtypes = [ctypes.c_char_p]
    library.cap_to_text.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.cap_free.argtypes = library.cap_get_nsowner.argtypes = [ctypes.c_void_p]
    library.cap_get_flag.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_void_p]
    return library


def sets_of(text: str, count: int) -> dict[str, int] | None:
    """Returns the sets of capabilities that libcap reads from a text, as bits by flag; None if it refuses the text.

    Args:
        text: in the form of cap_from_text(3).
        count: how many capabilities are looked at.
    """
    state = _library().cap_from_text(text.encode())
    if not state:
        return None
    sets = dict.fromkeys(_FLAGS, 0)
    for flag, number in _FLAGS.items():
        for capability in range(count):
            value = ctypes.c_int()
            assert _library().cap_get_flag(state, capability, number, ctypes.byref(value)) == 0
            sets[flag] |= value.value << capability
    _library().cap_free(state)
    return sets


def normal_form(text: str) -> str:
    """Returns a text as libcap writes it."""
    return _text(_library().cap_from_text(text.encode()))


def of_file(path: str | os.PathLike[str]) -> tuple[str, int]:
    """Returns the capabilities of a file as libcap writes them, and the user who is root where they count."""
    state = _library().cap_get_file(os.fsencode(path))
    assert state, os.strerror(ctypes.get_errno())
    root = _library().cap_get_nsowner(state)
    return _text(state), root


def _text(state: int) -> str:
    assert state
    text = _library().cap_to_text(state, None)
    result = ctypes.string_at(text).decode()
    _library().cap_free(text)
    _library().cap_free(state)
    return result
