"""Checks the form of the checkout's files: a test for each program, `bazel run //dev/lint:fix` to mend what can be.

Under `bazel test` the files come from `@checkout`, and are laid out in a folder as in the checkout, since programs go
by names and by configuration beside the files. With --checkout the files there are looked at, or changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dev.lint.checks import CHECKS, Check, argv
from tools.core.cli import argument, run
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName

_CONFIGURATION = "configuration"
_PATHS = "paths"
_SUFFIX = ".file"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    index: FileName = argument("index.json of @checkout")
    check: tuple[str, ...] = argument(f"what to check: {', '.join(CHECKS)}; default: all", default=())
    program: dict[str, FileName] | None = argument("path of a program", default=None)
    checkout: FileName | None = argument(
        "folder whose files are looked at; default: a copy of those of @checkout", default=None
    )
    fix: bool = argument("change the files of --checkout instead of reporting", default=False)


def read_index(path: Path) -> dict[str, list[str]]:
    """Returns the paths of the checkout's files by kind."""
    index: dict[str, list[str]] = json.loads(path.read_text(encoding="utf-8"))
    return index


def lay_out(source: Path, paths: Iterable[str], root: Path) -> None:
    """Copies files of `@checkout` to where they are in the checkout.

    Args:
        source: folder of the repository.
        paths: of the files, relative to the checkout.
        root: folder to make them in.
    """
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / (path + _SUFFIX), target)


def lay_out_for(check: Check, source: Path, index: Mapping[str, Sequence[str]], root: Path) -> None:
    """Lays out what a check reads; where it asks which files there are, all others too, without their contents.

    Args:
        check: to be run.
        source: folder of the repository `@checkout`.
        index: the paths by kind.
        root: folder to make the files in.
    """
    for kind in (_CONFIGURATION, check.kind, *check.reads):
        lay_out(source, index[kind], root)
    for path in index[_PATHS] if check.reads else ():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()


def run_check(check: Check, paths: Sequence[str], root: Path, programs: Mapping[str, str], fix: bool = False) -> bool:
    """Runs a check's program over files, its output going to this process's; says whether it is content.

    Args:
        check: to run.
        paths: of the files of its kind, relative to `root`.
        root: folder of the checkout.
        programs: paths of the programs, by name.
        fix: changes the files, if the check can.

    Raises:
        UserError: there is no file to check.
    """
    command = check.fix if fix else check.command
    if not command:
        return True
    selected = [path for path in paths if check.selects(path)]
    if not selected:
        raise UserError(f"no {check.kind} file to check: look at what dev/lint/checkout.bzl lists")
    with tempfile.NamedTemporaryFile("w", suffix=".toml", encoding="utf-8") as configuration:
        options = []
        if check.configure:
            configuration.write(check.configure((root / "pyproject.toml").read_text(encoding="utf-8"), selected))
            configuration.flush()
            options = [f"--config-file={configuration.name}"]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        done = subprocess.run([*argv(command, programs), *options, *selected], cwd=root, env=environment, check=False)
    return done.returncode == 0


def run_all(root: Path, index: Mapping[str, Sequence[str]], arguments: Arguments) -> list[str]:
    """Runs the checks that are asked for over the files in a folder; returns the names of those that found something.

    Raises:
        UserError: there is no check of a name, or no file to check.
    """
    programs = {name: os.path.abspath(path) for name, path in (arguments.program or {}).items()}
    return [
        name
        for name in arguments.check or CHECKS
        if not run_check(CHECKS[name], index[CHECKS[name].kind], root, programs, arguments.fix)
    ]


def main(arguments: Arguments) -> None:
    """Runs the command line.

    Raises:
        CheckError: a check found something.
    """
    if unknown := [name for name in arguments.check if name not in CHECKS]:
        raise UserError(f"--check={unknown[0]}: must be one of {', '.join(CHECKS)}")
    if arguments.fix and arguments.checkout is None:
        raise UserError("--fix: needs --checkout, the folder whose files it changes; call `bazel run //dev/lint:fix`")
    index_path = Path(arguments.index).absolute()
    index = read_index(index_path)
    if arguments.checkout is not None:
        failed = run_all(Path(arguments.checkout), index, arguments)
    else:
        with tempfile.TemporaryDirectory() as scratch:
            for name in arguments.check or CHECKS:
                lay_out_for(CHECKS[name], index_path.parent, index, Path(scratch))
            failed = run_all(Path(scratch), index, arguments)
    if failed:
        fixable = any(CHECKS[name].fix for name in failed)
        advice = "; `bazel run //dev/lint:fix` mends what a program can mend" if fixable else ""
        raise CheckError(f"{', '.join(failed)}: see the lines above{advice}")


if __name__ == "__main__":
    run(main, Arguments, __doc__)
