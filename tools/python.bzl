"""Python programs and tests of these rules, in every repository that uses them.

All are declared by these macros, since a repository that uses the rules doesn't inherit their `.bazelrc`.
"""

load("@pypi//:rules_python.bzl", "HAS_CONFIG_SETTINGS")
load("@rules_python//python:py_binary.bzl", _py_binary = "py_binary")
load("@rules_python//python:py_test.bzl", _py_test = "py_test")

# Bazel creates no __init__.py files; newer versions of rules_python warn about each target that doesn't say so.
_ATTRIBUTES = {"legacy_create_init": 0}

# The first step of a program is then a shell script, which starts the Python of the toolchain; by default it is a Python
# script, which needs a Python on the machine. Debian's rules_python is too old for it. Targets whose data are images must
# not have it: Bazel would build these again in the configuration that it makes.
_TOOL_ATTRIBUTES = {
    "config_settings": {str(Label("@rules_python//python/config_settings:bootstrap_impl")): "script"},
} if HAS_CONFIG_SETTINGS else {}

def py_binary(name, **kwargs):
    """Declares a Python program.

    Args:
        name: of the target.
        **kwargs: attributes of `py_binary` of rules_python.
    """
    _py_binary(name = name, **(_ATTRIBUTES | kwargs))

def py_test(name, **kwargs):
    """Declares a test that is a Python program.

    Args:
        name: of the target.
        **kwargs: attributes of `py_test` of rules_python.
    """
    _py_test(name = name, **(_ATTRIBUTES | kwargs))

def py_tool(name, **kwargs):
    """Declares a Python program that actions run, on machines which may have no Python.

    Args:
        name: of the target.
        **kwargs: attributes of `py_binary` of rules_python.
    """
    _py_binary(name = name, **(_ATTRIBUTES | _TOOL_ATTRIBUTES | kwargs))
