"""The exceptions that command lines show to a user as they are."""


class UserError(Exception):
    """Input that cannot be used, or a result that cannot be made from it.

    The message is one line for the person who gave the input, `WHERE: what is wrong; what to do`. WHERE is a file and
    line, a label and attribute, a flag, or a path in an image. Command lines print it after `error: `, without a
    traceback, and exit with 2.
    """


class CheckError(UserError):
    """A check or comparison was carried out and its answer is no: what was compared differs, or a check failed.

    Command lines exit with 1, as diff(1) does. Where the output has said it all the message may be empty; then no error
    is printed.
    """
