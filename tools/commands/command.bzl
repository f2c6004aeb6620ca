"""The programs that the rules run and that people call."""

load("//tools:python.bzl", "py_tool")

def command(name, deps, **kwargs):
    """Declares the program in the file `NAME.py`.

    Macros in defs/ run the same file in other packages, with arguments of their own, so it is exported.

    Args:
        name: of the target and of its file.
        deps: libraries that it imports.
        **kwargs: passed on to `py_tool`.
    """
    native.exports_files([name + ".py"], visibility = ["//visibility:public"])
    py_tool(
        name = name,
        srcs = [
            "__init__.py",
            name + ".py",
        ],
        main = name + ".py",
        visibility = ["//visibility:public"],
        deps = deps,
        **kwargs
    )
