"""UUIDs in attributes."""

_GROUPS = [8, 4, 4, 4, 12]

def check_uuid(text, where):
    """Returns a UUID, and fails if it is not of the form 8-4-4-4-12.

    Args:
        text: the UUID; may be empty.
        where: name of the value for messages.
    """
    if type(text) != "string":
        fail("%s: %r is of type %s; write a UUID as a string, such as \"8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a00\"" % (where, text, type(text)))
    groups = text.split("-")
    digits = "".join(groups).lower()
    if text and ([len(group) for group in groups] != _GROUPS or digits.strip("0123456789abcdef")):
        fail("%s: %r is not a UUID, such as 8d3f0a52-1c9e-4c41-9a38-6d0f2e1b7a00; `uuidgen` makes one" % (where, text))
    return text
