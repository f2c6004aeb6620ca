"""Reads the plan of the images: what Bazel would run to build them.

The plan is a JSON file, ic-os/guestos/plan/images.json:

- `locks`: the path of the lock of the packages, by distribution.
- `wheels`: the Python distributions that commands import.
- `programs`: modules of other programs that scripts run, by name.
- `lists`: lists that several actions have, by name; `{"list": NAME}` stands for one.
- `actions`: how files are made; see `Action`.

Strings of an action have references, `${NAME}`. NAME is an output of an action, a file of the checkout, or a
placeholder for what the build is given:

- `version`, `password`.
- `packages:SET`, `provided:SET`: package files of a set of the lock, and virtual packages that need no package.
- `executables:FILE`: a release binary.
- `update_keys:*`, `signing_key:*`: PEM files.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.core.json_file import read_json

_REFERENCE = re.compile(r"\$\{([^}]+)\}")

Values = Callable[[str], Sequence[str]]
"""Returns what a reference stands for: paths or words, none where it's something optional that wasn't given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """How files are made: by a command, or from a text.

    Attributes:
        mnemonic: what kind of work it is.
        outputs: names of the files.
        module: of the command.
        arguments: of the command.
        spec: JSON document that the command takes by `--spec`, instead of arguments.
        content: text of the one output, where there is no command.
        only_with: a reference; without a value for it there is no such action.
        distributions: whose images need it; empty for all.
    """

    mnemonic: str
    outputs: Sequence[str]
    module: str = ""
    arguments: Sequence[str] = ()
    spec: Any = None
    content: str | None = None
    only_with: str = ""
    distributions: Sequence[str] = ()

    def references(self) -> list[str]:
        """Returns the names that the action refers to, each once."""
        return list(dict.fromkeys(_references([self.arguments, self.spec, self.content])))


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan; see this module."""

    locks: Mapping[str, str]
    wheels: Sequence[str]
    programs: Mapping[str, str]
    actions: Sequence[Action] = field(repr=False)

    def by_output(self, distribution: str) -> dict[str, Action]:
        """Returns the actions for images of a distribution, by each of their outputs."""
        return {
            output: action
            for action in self.actions
            if not action.distributions or distribution in action.distributions
            for output in action.outputs
        }


def read_plan(path: Path) -> Plan:
    """Returns the plan in a file."""
    content = read_json(path)
    actions = [Action(**_with_lists(action, content["lists"])) for action in content["actions"]]
    return Plan(content["locks"], content["wheels"], content["programs"], actions)


def _with_lists(value: Any, lists: Mapping[str, Sequence[str]]) -> Any:
    """Returns a value of the plan with the lists instead of their names."""
    if isinstance(value, dict):
        name = value.get("list") if len(value) == 1 else None
        return {key: _with_lists(inner, lists) for key, inner in value.items()} if name is None else lists[name]
    return [_with_lists(inner, lists) for inner in value] if isinstance(value, list) else value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, list | tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _references(inner)


def fill(value: Any, values: Values) -> Any:
    """Returns a value of the plan with what its references stand for.

    An element of a list is repeated for each value of the references in it, in strings of its own; so it's left out
    where there is none. `*` at the end of another string of the element is then the value's last part, if the reference
    ends with `*`. A key of an object is left out where there is no value.
    """
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: values(match[1])[0], value)
    if isinstance(value, list | tuple):
        return [filled for inner in value for filled in _repeated(inner, values)]
    if isinstance(value, dict):
        return {key: fill(inner, values) for key, inner in value.items() if _is_there(inner, values)}
    return value


def _is_there(value: Any, values: Values) -> bool:
    """Returns whether there is a value for each reference in a string."""
    return not isinstance(value, str) or all(values(name) for name in _REFERENCE.findall(value))


def _repeated(element: Any, values: Values) -> Iterator[Any]:
    """Yields an element of a list for each combination of values of the references in its own strings."""
    inner = list(element.values()) if isinstance(element, dict) else [element]
    names = list(dict.fromkeys(_references([each for each in inner if isinstance(each, str)])))
    for chosen in itertools.product(*map(values, names)):
        yield _filled(element, dict(zip(names, chosen, strict=True)), values)


def _filled(element: Any, chosen: Mapping[str, str], values: Values) -> Any:
    """Returns an element of a list with one value for each reference in its own strings, and for `*`."""
    filled = fill(element, lambda name: [chosen[name]] if name in chosen else values(name))
    names = [os.path.basename(value) for reference, value in chosen.items() if reference.endswith(":*")]
    if not names or not isinstance(filled, dict):
        return filled
    return {
        key: inner[:-1] + names[0] if isinstance(inner, str) and inner.endswith("/*") else inner
        for key, inner in filled.items()
    }
