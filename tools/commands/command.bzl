"""The programs that the rules run and that people call."""

load("@bazel_skylib//rules:run_binary.bzl", "run_binary")
load("@rules_python//python:py_binary.bzl", "py_binary")

def command(name, deps, **kwargs):
    """Declares the program in the file `NAME.py`.

    Macros in defs/ run the same file in other packages, with arguments of their own, so it is exported.

    Args:
        name: of the target and of its file.
        deps: libraries that it imports.
        **kwargs: passed on to `py_binary`.
    """
    native.exports_files([name + ".py"], visibility = ["//visibility:public"])
    py_binary(
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

def completion(name, command):
    """Writes the completion of all commands that this package has declared so far, as a script for bash.

    Args:
        name: of the target; the file is `NAME.bash`.
        command: that writes it; it is declared here, since it imports all others.
    """
    others = sorted([rule["name"] for rule in native.existing_rules().values() if rule["kind"] == "py_binary"])
    py_binary(
        name = command,
        srcs = [
            "__init__.py",
            command + ".py",
        ],
        main = command + ".py",
        visibility = ["//visibility:public"],
        deps = [":" + other for other in others] + [
            "//tools/core:cli",
            "//tools/core:errors",
            "//tools/core:json_spec",
            "//tools/core:outputs",
        ],
    )
    run_binary(
        name = name,
        outs = [name + ".bash"],
        args = ["--output=$(execpath %s.bash)" % name] + others + [command],
        tool = ":" + command,
    )
