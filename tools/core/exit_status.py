"""How command lines end: their exit codes, and errors in one line."""

from __future__ import annotations

import signal
import sys
import types
from collections.abc import Callable
from typing import NoReturn

from tools.core.errors import UserError


def exit_code(work: Callable[[], None], program: str = "") -> int:
    """Does the work of a command line and returns its exit code.

    It is 0 if all went well; 1 after an error, of which standard error has one line; 130 after an interrupt from the
    keyboard.

    Args:
        work: what to do.
        program: what the user calls it, to begin an error with; nothing where it is empty.
    """
    try:
        work()
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    else:
        return 0
    print(f"{program}{': ' if program else ''}error: {' '.join(message.splitlines())}", file=sys.stderr)
    return 1


def exit_at_sigterm() -> None:
    """Has SIGTERM end the process with 143, and let outputs be cleaned up."""
    signal.signal(signal.SIGTERM, _exit_by_signal)


def _exit_by_signal(number: int, _frame: types.FrameType | None) -> NoReturn:
    sys.exit(128 + number)
