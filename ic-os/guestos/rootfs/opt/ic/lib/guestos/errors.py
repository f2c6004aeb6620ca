"""The exceptions that the programs here show to a person, or to the journal, as they are.

Each has the exit status that manageboot.sh ends with.
"""


class GuestError(Exception):
    """Something that cannot be used or done; the message says what, where, and what to do, in one line."""

    status = 1


class UsageError(GuestError):
    """The command line is not one."""

    status = 2


class StateError(GuestError):
    """Refused: not possible in the state that the machine is in. Nothing was changed."""

    status = 3


class ImageError(GuestError):
    """An update image, or its signature, is not one that this machine takes."""

    status = 4


class BusyError(GuestError):
    """Refused: something else is at work, on the same state or the same partitions. Nothing was changed."""

    status = 5
