"""The checks: which program looks at which kind of file, and which one mends it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from dev.lint.imports import module_of


def _all(_path: str) -> bool:
    return True


def _typed(path: str) -> bool:
    return path.startswith(("dev/", "ic-os/guestos/tools/", "third_party/", "tools/"))


def mypy_configuration(pyproject: str, paths: Sequence[str]) -> str:
    """Returns the settings of mypy: a test needs no annotations, and without them is not looked into.

    Args:
        pyproject: contents of pyproject.toml.
        paths: of the files; mypy has no pattern for the modules that are tests.
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
    """One program over the files of one kind.

    Attributes:
        kind: of the files, as the index of the checkout names it.
        command: arguments that make the program report what is wrong and exit with non-zero if anything is; its first
            word is the name of a program.
        fix: arguments that make it change the files instead; empty where it can't.
        selects: says of a path whether the check is for it.
        reads: kinds of other files that the program reads; it also asks which files there are, of any kind.
        configure: returns the program's configuration, from that in pyproject.toml and the paths, as a file of TOML.
    """

    kind: str
    command: Sequence[str]
    fix: Sequence[str] = ()
    selects: Callable[[str], bool] = _all
    reads: Sequence[str] = ()
    configure: Callable[[str, Sequence[str]], str] | None = None


# The default ones, but for a section of a docstring on what the first line says: "Returns ...".
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
    "documents": Check("document", command=["dev.lint.documents"], reads=["starlark"]),
    "shellcheck": Check(
        "shell",
        command=["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", "--severity=style"],
    ),
    "shfmt": Check(
        "shell",
        command=["shfmt", "--diff"],
        fix=["shfmt", "--write"],
    ),
}

# Programs that are Python modules.
_MODULES = ("dev.lint.documents", "dev.lint.imports", "mypy")


def argv(command: Sequence[str], programs: Mapping[str, str]) -> list[str]:
    """Returns the command with its program's name replaced by how it is started.

    Args:
        command: of a check.
        programs: paths of the programs, by name.
    """
    name, *arguments = command
    if name in _MODULES:
        return [sys.executable, "-m", name, *arguments]
    return [programs[name], *arguments]
