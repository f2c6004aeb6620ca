"""The checks: for each one, the program that checks or fixes files of a kind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dev.lint.imports import module_of


def _all(_path: str) -> bool:
    return True


def _typed(path: str) -> bool:
    return path.startswith(("dev/", "ic-os/guestos/tools/", "testnet/", "third_party/", "tools/"))


def mypy_configuration(pyproject: str, paths: Sequence[str]) -> str:
    """Returns the configuration of mypy: tests need no annotations, and functions without them are not checked.

    Args:
        pyproject: content of pyproject.toml.
        paths: paths of the files, to list the test modules, since mypy has no pattern for them.
    """
    tests = [module_of(path) for path in paths if path.endswith("_test.py")]
    if not tests:
        return pyproject
    relaxed = ("check_untyped_defs", "disallow_incomplete_defs", "disallow_untyped_calls", "disallow_untyped_defs")
    lines = ["[[tool.mypy.overrides]]", f"module = {tests}", *(f"{option} = false" for option in relaxed)]
    lines.append('disable_error_code = ["annotation-unchecked"]')
    return "\n".join([pyproject, *lines, ""])


@dataclass(frozen=True, slots=True)
class Check:
    """A program that checks files of a kind.

    Attributes:
        kind: kind of the files, a key of the checkout's index.
        command: command that reports faults and exits with non-zero status if there are any; the first word is the name
            of a program.
        fix: command that fixes the files, or empty if the program can't.
        selects: returns whether the check applies to a path.
        reads: kinds of other files that the program reads; if there are any, it can list the paths of all files, too.
        configure: returns the content of a TOML configuration file, from that of pyproject.toml and the paths.
    """

    kind: str
    command: Sequence[str]
    fix: Sequence[str] = ()
    selects: Callable[[str], bool] = _all
    reads: Sequence[str] = ()
    configure: Callable[[str, Sequence[str]], str] | None = None


# The default warnings without the one for a missing "Returns:" section, since first lines say "Returns ...".
_BUILDIFIER_WARNINGS = "-warnings=-function-docstring-return"

CHECKS: Mapping[str, Check] = {
    "buildifier": Check(
        "starlark",
        command=["buildifier", "-mode=diff", "-lint=warn", _BUILDIFIER_WARNINGS],
        fix=["buildifier", "-mode=fix", "-lint=fix", _BUILDIFIER_WARNINGS],
    ),
    "ruff_check": Check(
        "python",
        command=["ruff", "check", "--no-cache", "--quiet"],
        fix=["ruff", "check", "--no-cache", "--quiet", "--fix"],
    ),
    "ruff_format": Check(
        "python",
        command=["ruff", "format", "--no-cache", "--quiet", "--diff"],
        fix=["ruff", "format", "--no-cache", "--quiet"],
    ),
    "mypy": Check(
        "python",
        command=["mypy", f"--cache-dir={os.devnull}", "--no-error-summary"],
        selects=_typed,
        configure=mypy_configuration,
    ),
    "imports": Check("python", command=["dev.lint.imports"]),
    "documents": Check("document", command=["dev.lint.documents"], reads=["python", "starlark"]),
    "shellcheck": Check(
        "shell", command=["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", "--severity=style"]
    ),
    "shfmt": Check("shell", command=["shfmt", "--diff"], fix=["shfmt", "--write"]),
}

# Programs that are Python modules.
_MODULES = ("dev.lint.documents", "dev.lint.imports", "mypy")


def argv(command: Sequence[str], programs: Mapping[str, str]) -> list[str]:
    """Returns a command with the name of its program replaced by its path, or by Python with the module.

    Args:
        command: command of a check.
        programs: paths of programs by name.
    """
    name, *arguments = command
    if name in _MODULES:
        return [sys.executable, "-m", name, *arguments]
    return [programs[name], *arguments]
