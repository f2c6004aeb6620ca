"""Checks of the attributes of macros, in which a wrong type is otherwise an error of an operator."""

_ADVICE = {
    "bool": "True or False",
    "dict": "a dict in braces",
    "int": "a number",
    "list": "a list in brackets",
    "string": "a string in quotes",
}

def macro_label(name):
    """Returns the label of a target that a macro declares in the package of its caller."""
    return "//%s:%s" % (native.package_name(), name)

def check_types(where, kind, values, configurable = True):
    """Fails if values have another type than their attributes need.

    Args:
        where: label of the target, for messages.
        kind: `bool`, `dict`, `int`, `list` or `string`.
        values: dict of names of attributes to their values.
        configurable: whether a select() is accepted.
    """
    for attribute, value in values.items():
        if type(value) != kind and not (configurable and type(value) == "select"):
            fail("%s: %s: %r is of type %s; give %s" % (where, attribute, value, type(value), _ADVICE[kind]))
