"""Checks the form of the checkout's files: a test for each program, `bazel run //dev/lint:fix` to mend what can be.

Under `bazel test` the files come from `@checkout`, and are laid out in a folder as in the checkout, since programs go
by names and by configuration beside the files. Under `bazel run` the checkout itself is looked at, or changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from absl import app, flags

from dev.lint.checks import CHECKS, Check, argv
from tools.core.errors import UserError

_CONFIGURATION = "configuration"
_PATHS = "paths"
_SUFFIX = ".file"

_INDEX = flags.DEFINE_string("index", None, "index.json of @checkout.", required=True)
_CHECK = flags.DEFINE_multi_enum("check", [], list(CHECKS), "What to check; given again for more.")
_PROGRAM = flags.DEFINE_multi_string("program", [], "NAME=PATH of a program.")
_FIX = flags.DEFINE_bool("fix", False, "Change the files instead of reporting.")


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


def _programs(values: Iterable[str]) -> dict[str, str]:
    programs = {}
    for value in values:
        name, found, path = value.partition("=")
        if not found:
            raise UserError(f"--program={value}: not of the form NAME=PATH")
        programs[name] = str(Path(path).absolute())
    return programs


def _run_all(root: Path, index: Mapping[str, Sequence[str]], fix: bool) -> list[str]:
    """Returns the names of the checks that found something."""
    programs = _programs(_PROGRAM.value)
    names = _CHECK.value or list(CHECKS)
    return [name for name in names if not run_check(CHECKS[name], index[CHECKS[name].kind], root, programs, fix)]


def _report(failed: Sequence[str]) -> int:
    for name in failed:
        if CHECKS[name].fix:
            print(f"{name}: `bazel run //dev/lint:fix` mends what can be mended by itself", file=sys.stderr)
    return 1 if failed else 0


def main(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        index_path = Path(_INDEX.value).absolute()
        index = read_index(index_path)
        if workspace := os.environ.get("BUILD_WORKSPACE_DIRECTORY"):
            return _report(_run_all(Path(workspace), index, _FIX.value))
        with tempfile.TemporaryDirectory() as scratch:
            for name in _CHECK.value or CHECKS:
                lay_out_for(CHECKS[name], index_path.parent, index, Path(scratch))
            return _report(_run_all(Path(scratch), index, fix=False))
    except UserError as error:
        print(f"lint: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    app.run(main)
