"""How command lines end: their exit status, and errors in one line."""

from __future__ import annotations

import signal
import sys
import types
from collections.abc import Callable
from typing import NoReturn

from tools.core.errors import CheckError, UserError
from tools.core.inputs import recording
from tools.core.text import escaped

CHECK_FAILED = 1
"""What was compared differs, or a check failed."""

ERROR = 2
"""Input cannot be used, or the output cannot be written."""


def exit_code(work: Callable[[], None], program: str = "") -> int:
    """Does the work of a command line and returns its exit status, as diff(1) has them.

    It is 0 if all went well; 1 if what was compared differs or a check failed; 2 after any other error, of which
    standard error has one line; 130 after an interrupt from the keyboard.

    Args:
        work: what to do.
        program: what the user calls it, to begin an error with; nothing where it is empty.
    """
    status = ERROR
    try:
        with recording():
            work()
    except CheckError as failed:
        message, status = str(failed), CHECK_FAILED
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    except MemoryError:
        message = "there is not enough memory for this input; use a machine with more, or a smaller input"
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    else:
        return 0
    if message:
        line = escaped(" ".join(message.splitlines()))
        print(f"{program}{': ' if program else ''}error: {line}", file=sys.stderr)
    return status


def exit_at_sigterm() -> None:
    """Makes SIGTERM end the process with exit status 143 after outputs were cleaned up."""
    signal.signal(signal.SIGTERM, _exit_by_signal)


def _exit_by_signal(number: int, _frame: types.FrameType | None) -> NoReturn:
    sys.exit(128 + number)
