"""The exceptions that command lines show to a user as they are."""


class UserError(Exception):
    """Input that cannot be used, or a result that cannot be made from it.

    The message is for the person who gave the input. It says what is wrong, where (file and line, label, or path in
    the image) and what to do about it, in one line. Command lines print it without a traceback and exit with 2.
    """


class CheckError(UserError):
    """A check or comparison was carried out and its answer is no: what was compared differs, or a check failed.

    Command lines exit with 1, as diff(1) does. Where the output has said it all the message may be empty; then no error
    is printed.
    """
