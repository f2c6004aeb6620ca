"""The frame of all command lines: flags and JSON specs, errors in one line, exit codes.

A command line is a dataclass that says what it takes, and a function that does it:

    @dataclass(frozen=True, kw_only=True)
    class Arguments:
        input: str = argument("the file to compress")
        level: int = argument("1 is fast, 19 is small", default=3)

    def main(arguments: Arguments) -> None:
        ...

    if __name__ == "__main__":
        run(main, Arguments, __doc__)

Each field can be given as a flag, or as a key of the object in the JSON file that --spec names; a flag overrides the
key. Paths are relative to the current folder in both. An argument `@FILE` stands for the lines of that file, one
argument each (Bazel's params files in the format `multiline`).
"""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from absl import flags

from tools.core.errors import UserError
from tools.core.exit_status import exit_at_sigterm, exit_code
from tools.core.json_spec import build, is_required, read_object

_T = TypeVar("_T")
_FORMS = {int: "a whole number", float: "a number"}


def argument(help: str, *, default: Any = dataclasses.MISSING) -> Any:  # noqa: A002 - as flags libraries call it
    """Returns a dataclass field that is an argument of a command line.

    Args:
        help: what it means, with its unit.
        default: what it is where it isn't given; without one it has to be.
    """
    return dataclasses.field(default=default, metadata={"help": help})


def run(main: Callable[[_T], None], kind: type[_T], description: str | None) -> NoReturn:
    """Runs a command line on the arguments of this process, and ends the process.

    The exit code is 0 if all went well; 1 after an error, of which standard error has one line; 130 after an interrupt
    from the keyboard and 143 after SIGTERM, both of which let outputs be cleaned up.

    Args:
        main: does the work.
        kind: the dataclass of the arguments.
        description: what the command line does, for --help.
    """
    exit_at_sigterm()
    sys.exit(call(main, kind, description, sys.argv))


def call(main: Callable[[_T], None], kind: type[_T], description: str | None, argv: Sequence[str]) -> int:
    """Runs a command line and returns its exit code; see `run`."""

    def work() -> None:
        arguments = parse(kind, description, argv)
        if arguments is not None:
            main(arguments)

    return exit_code(work)


def parse(kind: type[_T], description: str | None, argv: Sequence[str]) -> _T | None:
    """Returns the arguments in `argv`, whose first element is the program; None if all that is wanted is help.

    Raises:
        UserError: they are not what `kind` says; the message names the flag, or the file and the key.
    """
    known = _flags(kind)
    try:
        rest = known([argv[0], *_expanded(argv[1:])])
    except flags.Error as error:
        raise UserError(f"{error}; --help lists the flags") from error
    if known["help"].value:
        print(_help(kind, description, argv[0]))
        return None
    if len(rest) > 1:
        raise UserError(f"{rest[1]!r} is not a flag; all arguments are flags, --help lists them")
    given = {name: _flag_value(known[name].value, hint, name) for name, hint in _hints(kind) if known[name].present}
    spec = known["spec"].value
    values = {} if spec is None else read_object(spec)
    return build(kind, values | given, lambda key: f"--{key}" if spec is None or key in given else f"{spec}: {key}")


def _hints(kind: type) -> list[tuple[str, Any]]:
    return list(typing.get_type_hints(kind, include_extras=True).items())


def _expanded(arguments: Sequence[str]) -> list[str]:
    result: list[str] = []
    for word in arguments:
        if word.startswith("@"):
            try:
                with open(word[1:], encoding="utf-8") as file:
                    result += file.read().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise UserError(f"{word[1:]}: cannot be read as a file of arguments: {error}") from error
        else:
            result.append(word)
    return result


def _flags(kind: type) -> flags.FlagValues:
    """Returns the flags of a command line, apart from those of other code in the process; `_help` describes them."""
    known = flags.FlagValues()  # type: ignore[no-untyped-call]
    flags.DEFINE_boolean("help", False, "", flag_values=known, short_name="h")
    flags.DEFINE_string("spec", None, "", flag_values=known)
    for name, hint in _hints(kind):
        if _without_none(hint) is bool:
            flags.DEFINE_boolean(name, None, "", flag_values=known)
        elif hint == tuple[str, ...]:
            flags.DEFINE_multi_string(name, None, "", flag_values=known)
        else:
            flags.DEFINE_string(name, None, "", flag_values=known)
    return known


def _flag_value(value: Any, hint: Any, name: str) -> Any:
    """Returns the value of a flag as it would stand in JSON."""
    hint = _without_none(hint)
    if not isinstance(value, str) or hint is str or typing.get_origin(hint) in (typing.Literal, typing.Annotated):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise UserError(f"--{name}: must be {_FORMS.get(hint, 'JSON')}, not {value!r}") from error


def _without_none(hint: Any) -> Any:
    """Returns T for `T | None`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = [inner for inner in typing.get_args(hint) if inner is not types.NoneType]
    return hint


def _help(kind: type, description: str | None, program: str) -> str:
    lines = [textwrap.dedent(description or "").strip(), "", f"usage: {program} [--spec=FILE] FLAGS", "", "flags:"]
    hints = dict(_hints(kind))
    for field in dataclasses.fields(kind):
        lines.append(f"  --{field.name}{_placeholder(_without_none(hints[field.name]))}")
        notes = ["may be repeated"] if hints[field.name] == tuple[str, ...] else []
        if is_required(field):
            notes.append("required")
        elif field.default not in (None, False, ()):
            notes.append(f"default: {field.default}")
        text = field.metadata["help"] + (f" ({', '.join(notes)})" if notes else "")
        lines += textwrap.wrap(text, 110, initial_indent=" " * 6, subsequent_indent=" " * 6)
    lines += ["  --spec=FILE", "      a JSON file with an object whose keys are these flags; a flag overrides its key"]
    return "\n".join(lines)


def _placeholder(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return f"={'|'.join(typing.get_args(hint))}"
    if typing.get_origin(hint) is typing.Annotated:
        return "=SIZE"
    return {str: "=TEXT", int: "=NUMBER", float: "=NUMBER", bool: "", tuple[str, ...]: "=TEXT"}.get(hint, "=JSON")
