"""The frame of all command lines: flags, arguments and JSON specs, errors in one line, exit status.

A command line is a dataclass that lists its arguments, and a function that does the work:

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        input: FileName = argument("the file to compress", positional=True)
        output: OutputName = argument("the file to write", positional=True)
        level: int = argument("1 is fast, 19 is small", default=3)

    def main(arguments: Arguments) -> None:
        ...

    if __name__ == "__main__":
        run(main, Arguments, __doc__)

Each field can be given as a flag, or as a key of the object in the JSON file that --spec names; a flag overrides the
key. A field with `positional` can also be given without its name: words that are no flags are the values of these
fields in their order, without those that are given as flags. `@FILE` stands for the lines of that file, one word each
(Bazel's params files in the format `multiline`). Where the first word is `{`, all of them are the lines of a JSON
object as in the file for --spec; defs/private/json_spec.bzl passes one to a command so, by a params file.

With the last word `--persistent_worker` a command does one request of Bazel after another; see tools/core/worker.py.

Relative paths are relative to the folder that the user calls the command in. `bazel run` starts programs in their
runfiles folder; it names the user's folder in BUILD_WORKING_DIRECTORY, and `run` changes to that. In actions and tests
the variable is not set, and paths are relative to the folder that Bazel starts the program in. Targets that call
a command with paths of their own therefore say what these are relative to (fields whose types name files only, such as
`FileName`):

    runfile:PATH    the folder that the program is started in, as for `"--disk=runfile:$(rootpath :disk.tar)"`
    workspace:PATH  the root of the workspace that `bazel run` is called in, as for a file to update
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable, Container, Sequence
from pathlib import PurePath
from typing import Any, NoReturn, TypeVar

from tools.core.errors import UserError
from tools.core.exit_status import exit_at_sigterm, exit_code
from tools.core.inputs import record
from tools.core.json_file import parse_json
from tools.core.json_spec import build, parse_object, read_object
from tools.core.parameters import Parameter, parameters
from tools.core.usage import help_text

_T = TypeVar("_T")
_FORMS = {int: "a whole number", float: "a number"}
_RUNFILE = "runfile:"
_WORKSPACE = "workspace:"
_OBJECT = "{"

WORKER_FLAG = "--persistent_worker"
"""The last word of the command line by which Bazel starts a worker."""


def argument(
    help: str,  # noqa: A002 - as flags libraries call it
    *,
    default: Any = dataclasses.MISSING,
    positional: bool = False,
) -> Any:
    """Returns a dataclass field that is an argument of a command line.

    Args:
        help: what it means, with its unit.
        default: its value where it isn't given; without one it has to be.
        positional: whether it can be given without the flag's name; of several, at most the last may be a tuple.
    """
    return dataclasses.field(default=default, metadata={"help": help, "positional": positional})


def run(main: Callable[[_T], None], kind: type[_T], description: str | None) -> NoReturn:
    """Runs a command line on the arguments of this process, and ends the process.

    The exit status is 0 if all went well; 1 if what was compared differs or a check failed (`CheckError`); 2 after any
    other error, of which standard error has one line; 130 after an interrupt from the keyboard and 143 after SIGTERM,
    both of which let outputs be cleaned up.

    Args:
        main: does the work.
        kind: the dataclass of the arguments.
        description: what the command line does, for --help.
    """
    exit_at_sigterm()
    if sys.argv[-1] == WORKER_FLAG:
        sys.exit(exit_code(lambda: _serve(main, kind, description)))
    sys.exit(exit_code(lambda: _work(main, kind, description, sys.argv, _enter_folder_of_caller())))


def _serve(main: Callable[[_T], None], kind: type[_T], description: str | None) -> None:
    from tools.core.worker import serve  # noqa: PLC0415 - other processes would start later

    serve(lambda words: call(main, kind, description, [*sys.argv[:-1], *words]))


def call(main: Callable[[_T], None], kind: type[_T], description: str | None, argv: Sequence[str]) -> int:
    """Runs a command line in the current folder and returns its exit status; see `run`."""
    return exit_code(lambda: _work(main, kind, description, argv, ""))


def _work(
    main: Callable[[_T], None], kind: type[_T], description: str | None, argv: Sequence[str], started_in: str
) -> None:
    arguments = parse(kind, description, argv, started_in)
    if arguments is not None:
        main(arguments)


def _enter_folder_of_caller() -> str:
    """Changes to the folder that `bazel run` was called in; returns the one that it started this process in.

    Returns an empty path where the process is started by other means and stays where it is.
    """
    # Programs that this one starts are called from here, and must not change folders again.
    folder = os.environ.pop("BUILD_WORKING_DIRECTORY", None)
    if folder is None:
        return ""
    started_in = os.getcwd()
    os.chdir(folder)
    return started_in


def parse(kind: type[_T], description: str | None, argv: Sequence[str], started_in: str = "") -> _T | None:
    """Returns the arguments in `argv`, whose first element is the program; None if the user asks for help only.

    Args:
        kind: the dataclass of the arguments.
        description: what the command line does, for --help.
        argv: the program and the words of its command line.
        started_in: what `runfile:` paths are relative to, where that isn't the current folder.

    Raises:
        UserError: they do not match `kind`; the message names the flag, or the file and the key.
    """
    known = parameters(kind)
    words = _expanded(argv[1:])
    if words and words[0] == _OBJECT:
        return _of_object(kind, known, parse_object("\n".join(words), "arguments"), started_in)
    from tools.core.flag_values import parse_flags  # noqa: PLC0415 - a command with an object starts earlier

    given, rest = parse_flags(known, [argv[0], *words])
    if given["help"].value:
        print(help_text(PurePath(argv[0]).stem, description or "", known))
        return None
    spec = None if given["spec"].value is None else _located(given["spec"].value, started_in)
    _record(spec)
    values = {} if spec is None else read_object(spec)
    own = {each.name: _flag_value(given[each.name].value, each) for each in known if given[each.name].present}
    own |= _positional_values(known, rest, own.keys())
    values |= own
    for each in known:
        if each.required and each.positional and spec is None and each.name not in values:
            raise UserError(f"{each.name.upper()}: is missing; --help shows how the command is called")
    _take_files(known, values, started_in)
    return build(kind, values, lambda key: f"--{key}" if spec is None or key in own else f"{spec}: {key}")


def _of_object(kind: type[_T], known: Sequence[Parameter], values: dict[str, Any], started_in: str) -> _T:
    """Returns the arguments that are given as a JSON object."""
    _take_files(known, values, started_in)
    return build(kind, values, lambda key: key)


def _take_files(known: Sequence[Parameter], values: dict[str, Any], started_in: str) -> None:
    """Makes the paths among JSON values those of this machine, and records the inputs."""
    for each in known:
        if each.names_files and each.name in values:
            values[each.name] = _located(values[each.name], started_in)
        if each.names_inputs:
            _record(values.get(each.name))


def _expanded(arguments: Sequence[str]) -> list[str]:
    result: list[str] = []
    for word in arguments:
        if word.startswith("@"):
            record(word[1:])
            try:
                with open(word[1:], encoding="utf-8") as file:
                    result += [line.removesuffix("\n") for line in file]
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{word[1:]}: cannot be read as a file of arguments: {error}") from error
        else:
            result.append(word)
    return result


def _record(value: Any) -> None:
    """Records the files in JSON values of an argument."""
    match value:
        case str():
            record(value)
        case list():
            for each in value:
                _record(each)
        case dict():
            _record(list(value.values()))


def _positional_values(known: Sequence[Parameter], words: Sequence[str], flagged: Container[str]) -> dict[str, Any]:
    """Returns the values of arguments that are given without names, as they would stand in JSON.

    Raises:
        UserError: there are more words than arguments.
    """
    values: dict[str, Any] = {}
    rest = list(words)
    for parameter in known:
        if parameter.positional and parameter.name not in flagged and rest:
            if parameter.repeated:
                values[parameter.name], rest = rest, []
            else:
                values[parameter.name] = _flag_value(rest.pop(0), parameter)
    if rest:
        raise UserError(f"{rest[0]!r}: is one argument too many; --help shows how the command is called")
    return values


def _flag_value(value: Any, parameter: Parameter) -> Any:
    """Returns the value of a flag as it would stand in JSON."""
    if parameter.named_values:
        pairs = [word.partition("=") for word in value]
        if wrong := ["".join(pair) for pair in pairs if not pair[0] or not pair[2]]:
            raise UserError(f"--{parameter.name}: must be NAME=FILE, not {wrong[0]!r}")
        return {name: path for name, _, path in pairs}
    if not isinstance(value, str) or (parameter.placeholder != "JSON" and parameter.type not in _FORMS):
        return value
    try:
        return parse_json(value, "")
    except UserError as error:
        form = _FORMS.get(parameter.type, "JSON")
        raise UserError(f"--{parameter.name}: must be {form}, not {value[:80]!r}") from error


def _located(value: Any, started_in: str) -> Any:
    """Returns JSON values with each `runfile:` and `workspace:` path in them as a path of this machine.

    Raises:
        UserError: a path is relative to the workspace, and there is none.
    """
    match value:
        case str() if value.startswith(_RUNFILE):
            return os.path.join(started_in, value.removeprefix(_RUNFILE))
        case str() if value.startswith(_WORKSPACE):
            workspace = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
            if workspace is None:
                raise UserError(f"{value}: there is no workspace; start the command by `bazel run`")
            return os.path.join(workspace, value.removeprefix(_WORKSPACE))
        case list():
            return [_located(each, started_in) for each in value]
        case dict():
            return {key: _located(each, started_in) for key, each in value.items()}
    return value
