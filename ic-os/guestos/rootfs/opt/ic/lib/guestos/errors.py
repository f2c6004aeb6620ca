"""The one exception that the programs here show to a person, or to the journal, as it is."""


class GuestError(Exception):
    """Something that cannot be used or done; the message says what, where, and what to do, in one line."""
