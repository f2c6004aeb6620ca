"""The one exception that command lines show to a user as it is."""


class UserError(Exception):
    """Input that cannot be used, or a result that cannot be made from it.

    The message is for the person who gave the input. It says what is wrong, where (file and line, label, or path in
    the image) and what to do about it, in one line. Command lines print it without a traceback and exit with 1.
    """
