"""The arguments of a command line, as its dataclass describes them."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from typing import Any

from tools.core.json_spec import FileName, KeyName, OutputName, Size, is_required


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument of a command line.

    Attributes:
        name: of the field, the flag and the key.
        type: of its values, without the None of an argument that may be left out.
        help: what it means.
        required: whether it has to be given.
        default: its value where it isn't given; None where it is required.
        positional: whether it may be given without the flag's name.
    """

    name: str
    type: Any
    help: str
    required: bool
    default: Any
    positional: bool

    @property
    def repeated(self) -> bool:
        """Whether the flag may be given more than once."""
        return self.type in (tuple[str, ...], tuple[FileName, ...], tuple[KeyName, ...]) or self.named_values

    @property
    def named_values(self) -> bool:
        """Whether the flag is given as NAME=VALUE, once for each name."""
        return bool(self.type == dict[str, FileName])

    @property
    def names_files(self) -> bool:
        """Whether its values are paths of files or folders, or hold them."""
        return _leaf(self.type) in (FileName, OutputName, KeyName)

    @property
    def names_inputs(self) -> bool:
        """Whether its values are paths, or hold them, of what outputs are made of."""
        return bool(_leaf(self.type) == FileName)

    @property
    def choices(self) -> tuple[str, ...]:
        """The values that it may have, if it is one of a few words."""
        return typing.get_args(self.type) if typing.get_origin(self.type) is typing.Literal else ()

    @property
    def placeholder(self) -> str:
        """What stands for a value in usage texts; empty for a flag that has none."""
        if self.choices:
            return "|".join(self.choices)
        if self.named_values:
            return "NAME=FILE"
        kinds = {bool: "", str: "TEXT", int: "NUMBER", float: "NUMBER", Size: "SIZE"}
        kinds |= dict.fromkeys((FileName, OutputName, KeyName), "FILE")
        return kinds.get(typing.get_args(self.type)[0] if self.repeated else self.type, "JSON")


def parameters(kind: type) -> list[Parameter]:
    """Returns the arguments that a dataclass describes, in the order of its fields."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return [
        Parameter(
            name=field.name,
            type=_without_none(hints[field.name]),
            help=field.metadata["help"],
            required=is_required(field),
            default=None if is_required(field) else field.default,
            positional=field.metadata["positional"],
        )
        for field in dataclasses.fields(kind)
    ]


def _without_none(hint: Any) -> Any:
    """Returns T for `T | None`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = [inner for inner in typing.get_args(hint) if inner is not types.NoneType]
    return hint


def _leaf(hint: Any) -> Any:
    """Returns the type of the values in nested tuples, lists and dictionaries."""
    match typing.get_origin(hint):
        case origin if origin in (tuple, list):
            return _leaf(typing.get_args(hint)[0])
        case origin if origin is dict:
            return _leaf(typing.get_args(hint)[1])
    return hint
