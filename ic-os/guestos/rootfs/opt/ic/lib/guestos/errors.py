"""Exceptions whose message is shown to the user and written to the journal, without a traceback.

The class determines the exit status of manageboot.sh.
"""


class GuestError(Exception):
    """An error of this machine or its files. The message is one line: what is wrong, where, and what to do."""

    status = 1


class UsageError(GuestError):
    """The command line is invalid."""

    status = 2


class StateError(GuestError):
    """Refused because the machine's state does not permit it. Nothing was changed."""

    status = 3


class ImageError(GuestError):
    """An update image is damaged, not signed by a trusted key, or for another machine."""

    status = 4


class BusyError(GuestError):
    """Refused because another program uses the same boot state or partition. Nothing was changed."""

    status = 5
