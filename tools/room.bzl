"""The libraries of the rooms."""

load("@rules_python//python:py_library.bzl", "py_library")

def py_room(name, deps):
    """Declares the library of a room: the Python files of the package without the tests.

    Args:
        name: of the target.
        deps: libraries that it imports.
    """
    py_library(
        name = name,
        srcs = native.glob(
            ["*.py"],
            exclude = ["*_test.py"],
        ),
        deps = deps,
    )
