"""Checks of the attributes of macros, in which a wrong type is otherwise an error of an operator."""

_ADVICE = {
    "bool": "True or False",
    "dict": "a dict in braces",
    "int": "a number",
    "list": "a list in brackets",
    "string": "a string in quotes",
}

# Attributes of all rules, but for those that macros name themselves:
# https://bazel.build/reference/be/common-definitions#common-attributes
COMMON_ATTRIBUTES = [
    "aspect_hints",
    "compatible_with",
    "deprecation",
    "exec_compatible_with",
    "exec_properties",
    "features",
    "package_metadata",
    "restricted_to",
    "target_compatible_with",
    "toolchains",
]

def _distance(one, other):
    """Returns how many letters are to be inserted, removed or replaced to make one text of the other (Levenshtein)."""
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one.elems(), 1):
        before, row = row, [number]
        for column, other_letter in enumerate(other.elems(), 1):
            changed = before[column - 1] + (0 if letter == other_letter else 1)
            row.append(min(changed, before[column] + 1, row[column - 1] + 1))
    return row[-1]

def check_names(where, macro, given, known):
    """Fails for an attribute that a macro does not have, and names the one that is spelt most like it.

    Args:
        where: label of the target, for messages.
        macro: name of the macro.
        given: names of the attributes that it was called with, of which some may be unknown.
        known: names of its attributes; all have to be there, for the advice.
    """
    for name in given:
        if name not in known:
            distance, nearest = min([(_distance(name, each), each) for each in known])
            advice = "did you mean %s?" % nearest if 3 * distance <= len(name) else "see its reference"
            fail("%s: %s: is not an attribute of %s; %s" % (where, name, macro, advice))

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
