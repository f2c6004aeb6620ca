"""Libraries and command lines that describe and write operating system images."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - who has an older one is told what to do
    _FOUND = ".".join(map(str, sys.version_info[:2]))
    sys.exit(
        f"error: {sys.executable}: Python {_FOUND} is too old for these tools, which need 3.11 or newer; in "
        'MODULE.bazel: python.toolchain(is_default = True, python_version = "3.13")'
    )
