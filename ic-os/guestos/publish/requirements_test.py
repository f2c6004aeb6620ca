"""The lock of what publishes builds is current and complete."""

from pathlib import Path

from third_party.python.lock_checks import check_complete, check_current


def test_lock():
    check_current(Path(__file__).parent)
    check_complete(Path(__file__).parent)
