"""Tests the order of installation, and which packages are extracted before it."""

from tools.debian.order import installation_order, needed_first

SHELL = {"Package": "dash", "Essential": "yes", "Depends": "debianutils (>= 2)", "Pre-Depends": "libc6 (>= 2.41)"}
USERS = {"Package": "base-passwd", "Essential": "yes", "Depends": "debconf (>= 0.5) | debconf-2.0"}
CONFIG = {"Package": "cdebconf", "Provides": "debconf-2.0 (= 1), other"}
LIBC = {"Package": "libc6", "Depends": "libgcc-s1"}
UTILS = {"Package": "debianutils"}
GCC = {"Package": "libgcc-s1"}
PYTHON = {"Package": "python3", "Pre-Depends": "python3-minimal:any (= 3.13)", "Depends": "libpython3"}
MINIMAL = {"Package": "python3-minimal", "Depends": "libexpat1 (>= 2), missing"}
EXPAT = {"Package": "libexpat1", "Depends": "python3-minimal"}
LIBPYTHON = {"Package": "libpython3"}
ALL = [PYTHON, MINIMAL, EXPAT, LIBPYTHON, SHELL, USERS, CONFIG, LIBC, UTILS, GCC]


def test_order() -> None:
    order = installation_order(ALL)
    assert order[:2] == ["base-passwd", "dash"]
    assert order[2:] == sorted(order[2:])
    assert installation_order(reversed(ALL)) == order


def test_needed_first() -> None:
    assert needed_first(ALL) == {
        "base-passwd",
        "cdebconf",  # provides a dependency of base-passwd
        "dash",
        "debianutils",
        "libc6",
        "libexpat1",
        "libgcc-s1",
        "python3-minimal",  # a pre-dependency
    }
