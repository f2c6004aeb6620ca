"""What the model assumes: read from parameters.toml, which names a source for each value."""

from __future__ import annotations

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.core.errors import UserError

DEFAULTS = Path(__file__).with_name("parameters.toml")

_COUNTS = ("machines", "image_bytes", "halt_least", "at_once")
_SHARES = ("broken_downloads", "defects", "halt_share", "quorum")
_POSITIVE = ("machines", "image_bytes", "server_rate", "machine_rate", "patience_seconds")
_MOST_MACHINES = 10_000_000


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a roll-out.

    Attributes:
        share: of all machines that may upgrade from its start on, those of earlier stages among them.
        soak_seconds: how long it lasts at least, before the next one opens.
    """

    share: float
    soak_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What the model assumes; parameters.toml has the units."""

    machines: int
    image_bytes: int
    server_rate: float
    machine_rate: float
    poll_seconds: float
    install_seconds: float
    restart_seconds: float
    spread: float
    failures_per_year: float
    repair_seconds: float
    power_cuts_per_year: float
    power_cut_seconds: float
    broken_downloads: float
    defects: float
    halt_share: float
    halt_least: int
    quorum: float
    patience_seconds: float
    at_once: int
    stages: tuple[Stage, ...]


NAMES = tuple(each.name for each in dataclasses.fields(Parameters) if each.name != "stages")
"""The names of the values."""


def read(path: Path = DEFAULTS) -> Parameters:
    """Returns what a file says.

    Raises:
        UserError: the file cannot be read, or is invalid.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path}: is not TOML: {error}") from error
    try:
        return _parameters(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _parameters(content: Mapping[str, Any]) -> Parameters:
    if unknown := sorted(set(content) - {*NAMES, "stages"}):
        raise UserError(f"{unknown[0]}: is no parameter; there are {', '.join(NAMES)} and stages")
    values: dict[str, Any] = {}
    for name in NAMES:
        table = content.get(name)
        if not isinstance(table, dict) or set(table) != {"value", "unit", "source"} or not table["source"]:
            raise UserError(f"{name}: needs value, unit and source, in a table [{name}]")
        values[name] = table["value"]
    stages = content.get("stages")
    if not isinstance(stages, list) or not all(
        isinstance(each, dict) and set(each) == {"share", "soak_seconds"} for each in stages
    ):
        raise UserError("stages: are tables [[stages]] with share and soak_seconds")
    return checked(values, [(each["share"], each["soak_seconds"]) for each in stages])


def changed(
    parameters: Parameters, values: Mapping[str, float], stages: list[tuple[float, float]] | None
) -> Parameters:
    """Returns parameters with other values.

    Args:
        parameters: the others.
        values: by their names.
        stages: pairs of share and soak_seconds; None for those of `parameters`.

    Raises:
        UserError: there is no such value, or it is invalid.
    """
    if unknown := [name for name in values if name not in NAMES]:
        raise UserError(f"{unknown[0]}: is no parameter; there are {', '.join(NAMES)}")
    known = {name: getattr(parameters, name) for name in NAMES}
    kept = [(each.share, each.soak_seconds) for each in parameters.stages]
    return checked({**known, **values}, kept if stages is None else stages)


def checked(values: Mapping[str, Any], stages: list[tuple[Any, Any]]) -> Parameters:
    """Returns parameters.

    Raises:
        UserError: a value is invalid.
    """
    numbers: dict[str, Any] = {name: _number(name, value) for name, value in values.items()}
    for name in _COUNTS:
        if numbers[name] != int(numbers[name]):
            raise UserError(f"{name}: {values[name]} is not a whole number")
        numbers[name] = int(numbers[name])
    for name in _SHARES:
        if numbers[name] > 1:
            raise UserError(f"{name}: {values[name]} is not a share from 0 to 1")
    for name in _POSITIVE:
        if numbers[name] == 0:
            raise UserError(f"{name}: must be more than 0")
    if numbers["machines"] > _MOST_MACHINES:
        raise UserError(f"machines: at most {_MOST_MACHINES}")
    known = tuple(Stage(_number("share", share), _number("soak_seconds", soak)) for share, soak in stages)
    shares = [0.0, *(each.share for each in known)]
    if not known or shares != sorted(set(shares)) or shares[-1] != 1:
        raise UserError("stages: their shares must grow, from more than 0 to 1")
    return Parameters(stages=known, **numbers)


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UserError(f"{name}: {value!r} is not a number of 0 or more")
    return value
