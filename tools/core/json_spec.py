"""Values from JSON, checked against dataclasses: spec files and the arguments of command lines.

A dataclass describes an object: each field is a key, its type is that of the value, and a field without a default
is required. Types are str, `FileName`, `OutputName`, `KeyName`, int, `Size`, float, bool, Literal of strings,
`T | None`, `list[T]`, `tuple[T, ...]`, `dict[str, T]` and other dataclasses. An error names the file and the path of
the key, such as `layers[2].archive`.
"""

from __future__ import annotations

import builtins
import dataclasses
import json
import os
import re
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, TypeVar

from tools.core.errors import UserError
from tools.core.json_file import parse_json, read_json

_T = TypeVar("_T")

Size = Annotated[int, "size"]
"""A number of bytes, which may be written with a binary suffix: "50G" is 50 * 2**30."""

FileName = Annotated[str, "file"]
"""The path of a file or folder of this machine; `tools.core.cli` says what it is relative to."""

OutputName = Annotated[str, "output"]
"""The path of a file to write, which is no input even if it exists."""

KeyName = Annotated[str, "key"]
"""The path of a private key, of which nothing comes into an output."""

_MOST_DIGITS = 40
"""Most digits of a size: more than any needs, and few enough that messages stay short."""

_SUFFIXES = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_NAMES = {
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def read_spec(path: str | os.PathLike[str], kind: type[_T]) -> _T:
    """Returns an instance of a dataclass made from the object in a JSON file.

    Raises:
        UserError: the file cannot be read, is no JSON, or does not match `kind`.
    """
    return build(kind, read_object(path), lambda key: f"{os.fspath(path)}: {key}")


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the object in a JSON file.

    Raises:
        UserError: `read_json` refuses the file, or it is no object.
    """
    return _object(read_json(path), os.fspath(path))


def parse_object(text: str, where: str) -> dict[str, Any]:
    """Returns the object in a JSON text.

    Args:
        text: the text.
        where: what it is from, for messages.

    Raises:
        UserError: `parse_json` refuses the text, or it is no object.
    """
    return _object(parse_json(text, where), where)


def _object(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UserError(f"{where}: must be an object, not {_shown(value)}")
    return value


def build(kind: type[_T], values: Mapping[str, Any], where: Callable[[str], str]) -> _T:
    """Returns an instance of a dataclass made from JSON values of its fields.

    Args:
        kind: the dataclass.
        values: JSON values by key.
        where: returns the name of a key for messages, such as "spec.json: key".

    Raises:
        UserError: a key is unknown or missing, or a value is not of its field's type.
    """
    hints = typing.get_type_hints(kind, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(Any, kind))}
    for key in values:
        if key not in fields:
            import difflib  # noqa: PLC0415 - every command would start later, and only this error needs it

            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(fields)}"
            raise UserError(f"{where(key)}: is not known here; {hint}")
    for name, field in fields.items():
        if name not in values and is_required(field):
            raise UserError(f"{where(name)}: is missing")
    return kind(**{name: convert(hints[name], value, where(name)) for name, value in values.items()})


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Returns whether a field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def convert(kind: Any, value: Any, where: str) -> Any:
    """Returns a JSON value as a value of a type.

    Args:
        kind: the type, one of those that the module's docstring lists.
        value: what `json` made of it.
        where: the name of the value for messages.

    Raises:
        UserError: it is not of the type; the message begins with `where`.
    """
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case types.UnionType | typing.Union:
            (inner,) = [argument for argument in arguments if argument is not types.NoneType]
            result = None if value is None else convert(inner, value, where)
        case typing.Annotated:
            result = _size(value, where) if kind == Size else _expect(str, value, where)
        case typing.Literal:
            result = _choice(arguments, value, where)
        case (builtins.list | builtins.tuple) as container:
            items = enumerate(_expect(list, value, where))
            result = container(convert(arguments[0], item, f"{where}[{index}]") for index, item in items)
        case builtins.dict:
            pairs = _expect(dict, value, where).items()
            result = {key: convert(arguments[1], item, f"{where}.{key}") for key, item in pairs}
        case _ if dataclasses.is_dataclass(kind):
            result = build(typing.cast(Any, kind), _expect(dict, value, where), lambda key: f"{where}.{key}")
        case _:
            result = _expect(kind, float(value) if kind is float and type(value) is int else value, where)
    return result


def _expect(kind: type[_T], value: Any, where: str) -> _T:
    if type(value) is not kind:  # True is an int to isinstance
        raise UserError(f"{where}: must be {_NAMES[kind]}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"


def parse_size(text: str) -> int:
    """Returns a number of bytes from digits and, optionally, one of K, M, G and T for powers of 1024.

    Raises:
        ValueError: it is not that.
    """
    match = re.fullmatch(r"([0-9]+)([KMGT]?)", text)
    if not match or len(match[1]) > _MOST_DIGITS:
        raise ValueError(f"{text[:_MOST_DIGITS]!r} is not a size such as 1048576 or 1M")
    return int(match[1]) << _SUFFIXES[match[2]]


def _size(value: Any, where: str) -> int:
    if type(value) is int and value >= 0:
        return value
    try:
        return parse_size(_expect(str, value, where))
    except (UserError, ValueError):
        raise UserError(f"{where}: must be a size in bytes such as 1048576 or 1M, not {_shown(value)}") from None


def _choice(choices: Collection[str], value: Any, where: str) -> str:
    if value not in choices:
        raise UserError(f"{where}: must be one of {', '.join(choices)}, not {_shown(value)}")
    return str(value)
