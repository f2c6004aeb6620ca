"""JSON specifications for tools, with paths that Bazel may map."""

_MOST_VALUES = 1000000

def json_spec(ctx, flag, value):
    """Returns arguments that hand a tool a JSON document in a file.

    The document is written as a parameter file and not by an action of its own, so that paths in it follow path
    mapping: https://bazel.build/reference/command-line-reference#flag--experimental_output_paths

    Args:
        ctx: of the rule.
        flag: name of the tool's flag that takes the file, such as `--spec`.
        value: dicts, lists, strings, numbers, booleans, None, and Files, which become their paths. What is None in a
            dict is left out.

    Returns:
        Args: to be the action's only ones or beside others.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file(flag + "=%s", use_always = True)

    # What is left to write, last first: strings are written as they are, [value, suffix] is a value and what follows.
    left = [[value, ""]]
    for _ in range(_MOST_VALUES):
        if not left:
            return args
        item = left.pop()
        if type(item) == "string":
            args.add(item)
            continue
        value, suffix = item
        if type(value) == "File":
            args.add(value, format = "\"%s\"" + suffix)
        elif type(value) == "dict":
            pairs = [(key, each) for key, each in value.items() if each != None]
            args.add("{")
            left.append("}" + suffix)
            for index in range(len(pairs) - 1, -1, -1):
                left.append([pairs[index][1], "," if index < len(pairs) - 1 else ""])
                left.append(json.encode(pairs[index][0]) + ":")
        elif type(value) == "list":
            args.add("[")
            left.append("]" + suffix)
            for index in range(len(value) - 1, -1, -1):
                left.append([value[index], "," if index < len(value) - 1 else ""])
        else:
            args.add(json.encode(value) + suffix)
    fail("%s: has more than %d values in all its attributes; divide it into several targets" % (ctx.label, _MOST_VALUES))
