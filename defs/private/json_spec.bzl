"""Arguments of commands, as flags or a JSON spec, whose paths are subject to Bazel's path mapping."""

_MOST_VALUES = 1000000

def _encoded_path(file):
    return json.encode(file.path)

def _add_path(args, file, suffix):
    """Adds the path of a file, or of a directory that an action makes, as a JSON string, and a text after it."""
    if "\"" in file.path:
        args.add_all([file], map_each = _encoded_path, expand_directories = False)
        args.add(suffix)
    else:
        args.add_all([file], format_each = "\"%s\"" + suffix, expand_directories = False)

def command_args(ctx, **flags):
    """Returns Args which a command gets in a file, one a line, as persistent workers need it.

    Args:
        ctx: of the rule.
        **flags: by the names of flags, a string, a File, None for no such flag, or a list, for each item of which there is one.
    """
    args = ctx.actions.args()
    args.set_param_file_format("multiline")
    args.use_param_file("@%s", use_always = True)
    for flag, value in flags.items():
        is_list = type(value) == "list"
        values = value if is_list else [value] if value != None else []

        # A directory in a list stands for its files; one by itself, as an OCI layout, for itself.
        args.add_all(values, expand_directories = is_list, format_each = "--" + flag + "=%s")
    return args

def json_spec(ctx, value):
    """Returns the arguments that pass a JSON document to a tool: `@FILE`, and the document in FILE.

    The document is written as a parameter file and not by an action of its own, so that path mapping applies to it:
    https://bazel.build/reference/command-line-reference#flag--experimental_output_paths

    Args:
        ctx: of the rule.
        value: dicts, lists, strings, numbers, booleans, None, and Files, of which the path is written. Keys of a dict
            whose value is None are left out.

    Returns:
        Args, for the `arguments` of an action.
    """
    args = command_args(ctx)

    # A stack of what is left to write: a string is written unchanged, [value, suffix] is a value and the text after it.
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
            _add_path(args, value, suffix)
        elif type(value) == "dict":
            pairs = [(key, each) for key, each in value.items() if each != None]
            args.add("{")
            left.append("}" + suffix)
            for index in range(len(pairs) - 1, -1, -1):
                left.append([pairs[index][1], "," if index < len(pairs) - 1 else ""])
                left.append(json.encode(pairs[index][0]) + ":")
        elif type(value) == "list" and value and all([type(each) == "File" and "\"" not in each.path for each in value]):
            args.add("[")  # at once, since an image may be made of many files
            args.add_joined(value, expand_directories = False, format_each = "\"%s\"", join_with = ",")
            args.add("]" + suffix)
        elif type(value) == "list":
            args.add("[")
            left.append("]" + suffix)
            for index in range(len(value) - 1, -1, -1):
                left.append([value[index], "," if index < len(value) - 1 else ""])
        else:
            args.add(json.encode(value) + suffix)
    fail("%s: has more than %d values in all its attributes; divide it into several targets" % (ctx.label, _MOST_VALUES))
