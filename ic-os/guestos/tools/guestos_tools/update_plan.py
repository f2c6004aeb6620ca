"""Writes the plan of the images, by `bazel run //ic-os/guestos/plan:update`.

The plan has the actions of //ic-os/guestos/plan:actions that the images need, with references instead of Bazel's paths.
plan.py describes the format.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from guestos_tools.options import run
from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all

PLAN = "ic-os/guestos/plan/images.json"
PROGRAM = "update"

_OUTPUT = re.compile(r"bazel-out/[^/]+/bin/([^\"]+)")
_PLACEHOLDER = re.compile(r"ic-os/guestos/plan/placeholder/([^/]+)/(.+)")
_VERSION = "PLACEHOLDER"
_WIDTH = 120
_MIN_SHARED = 10
"""Minimum number of strings of a list that the plan has once, for all actions with it."""
_OF_TARGETS = {"directories", "passwords", "paths"}
"""Keys of the parts of a specification whose `label` is that of a target of this repository, for messages."""


def plan_text(actions: Mapping[str, Any]) -> str:
    """Returns the plan as a text for people too.

    Args:
        actions: what the rule `image_actions` writes.
    """
    return _text(_plan(actions), 0) + "\n"


def _plan(actions: Mapping[str, Any]) -> dict[str, Any]:
    images = list(dict.fromkeys(actions["images"]))
    by_distribution = {
        distribution: _needed([_action(action) for action in found], images)
        for distribution, found in actions["actions"].items()
    }
    merged = _merged(by_distribution)
    lists = _shared_lists(merged)
    names = {json.dumps(value): name for name, value in lists.items()}
    return {
        "about": "Made by bazel run //ic-os/guestos/plan:update; ic-os/guestos/tools/guestos_tools/plan.py reads it.",
        "locks": actions["locks"],
        "wheels": sorted(actions["distributions"]),
        "programs": {name: _module(path) for name, path in actions["programs"].items()},
        "lists": lists,
        "actions": _with_names(merged, names),
    }


def _shared_lists(actions: Sequence[dict[str, Any]]) -> dict[str, list[str]]:
    """Returns the long lists of strings that several actions have, by a name: where the first of these has it."""
    users: dict[str, list[str]] = {}
    for action in actions:
        for words, key in {words: key for key, words in _long_lists(action)}.items():
            users.setdefault(words, []).append(f"{key} of {action['outputs'][0]}")
    lists: dict[str, list[str]] = {}
    for words, names in users.items():
        if len(names) > 1:
            same = sum(name.partition(" (")[0] == names[0] for name in lists)
            lists[f"{names[0]} ({same + 1})" if same else names[0]] = json.loads(words)
    return lists


def _long_lists(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yields key and JSON of each long list of strings in a value."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _long_lists(inner, name)
    elif isinstance(value, list) and len(value) >= _MIN_SHARED and all(isinstance(inner, str) for inner in value):
        yield key, json.dumps(value)
    elif isinstance(value, list):
        for inner in value:
            yield from _long_lists(inner, key)


def _with_names(value: Any, names: Mapping[str, str]) -> Any:
    """Returns a value with `{"list": NAME}` for lists that have a name, by their JSON."""
    if isinstance(value, dict):
        return {key: _with_names(inner, names) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    name = names.get(json.dumps(value))
    return [_with_names(inner, names) for inner in value] if name is None else {"list": name}


def _merged(by_distribution: Mapping[str, Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Returns the actions of all distributions, each once; those that some lack say whose they are."""
    merged: dict[str, tuple[dict[str, Any], list[str]]] = {}
    for distribution, actions in by_distribution.items():
        for action in actions:
            merged.setdefault(json.dumps(action), (action, []))[1].append(distribution)
    actions = [
        action if len(found) == len(by_distribution) else {"distributions": found} | action
        for action, found in merged.values()
    ]
    return sorted(actions, key=lambda action: (action["outputs"], action.get("distributions", [])))


def _needed(actions: Sequence[dict[str, Any]], images: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the actions that images need."""
    by_output = {output: action for action in actions for output in action["outputs"] if ":" not in output}
    found: dict[int, dict[str, Any]] = {}
    left = list(images)
    while left:
        action = by_output.get(left.pop())
        if action is not None and id(action) not in found:
            found[id(action)] = action
            left += [name for word in _strings(action) for name in re.findall(r"\$\{([^}]+)\}", word)]
    return list(found.values())


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    """Returns an action as the plan has it."""
    outputs = [_output(path) for path in action["outputs"]]
    if action["words"] is None:
        content = None if action["content"] is None else action["content"].replace(_VERSION, "${version}")
        return {"mnemonic": action["mnemonic"], "outputs": outputs, "content": content}
    program, *words = action["words"]
    made = {"mnemonic": action["mnemonic"], "module": _module(program), "outputs": outputs}
    sources = set(action["inputs"])
    if words[0] == "{":  # of defs/private/json_spec.bzl
        return made | {"spec": _spec(json.loads("".join(words)), sources)}
    arguments = [_word(word, sources) for word in words]
    signs = any("${signing_key:" in word for word in arguments)
    return made | ({"only_with": "signing_key:*"} if signs else {}) | {"arguments": arguments}


def _spec(value: Any, sources: set[str]) -> Any:
    if isinstance(value, dict):
        spec = {key: _spec(inner, sources) for key, inner in value.items()}
        if "label" in spec and not _OF_TARGETS.isdisjoint(spec):
            spec["label"] = spec["label"].lstrip("@")
        if "passwords" in spec:
            spec["passwords"] = dict.fromkeys(spec["passwords"], "${password}")
        return spec
    if isinstance(value, list):
        return [_spec(inner, sources) for inner in value]
    return _word(value, sources) if isinstance(value, str) else value


def _word(word: str, sources: set[str]) -> str:
    """Returns a word with references for paths."""
    before, equals, path = word.partition("=") if word.startswith("--") else ("", "", word)
    if path in sources:
        return f"{before}{equals}${{{path}}}"
    return _OUTPUT.sub(lambda match: f"${{{_output(match[0])}}}", word)


def _output(path: str) -> str:
    """Returns the name that the plan has for an output of Bazel, or for a placeholder."""
    name = _OUTPUT.sub(r"\1", path)
    return _PLACEHOLDER.sub(r"\1:\2", name)


def _module(program: str) -> str:
    """Returns the module of a program, which is named as the program's target."""
    return _output(program).replace("/", ".")


def _text(value: Any, indent: int) -> str:
    """Returns JSON with an object of plain values on one line, and what else fits."""
    line = json.dumps(value, ensure_ascii=False)
    plain = isinstance(value, dict) and not any(isinstance(inner, list | dict) for inner in value.values())
    if plain or len(line) + indent <= _WIDTH or not isinstance(value, list | dict):
        return line
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [f"{json.dumps(key)}: {_text(inner, indent + 2)}" for key, inner in value.items()]
        return "{\n" + ",\n".join(pad + part for part in parts) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(pad + _text(inner, indent + 2) for inner in value) + "\n" + " " * indent + "]"


def main(arguments: Sequence[str]) -> None:
    """Writes the plan into the checkout.

    Args:
        arguments: the path of what `image_actions` has written.

    Raises:
        UserError: there's no checkout to write to.
    """
    (actions,) = arguments
    checkout = os.environ.get("BUILD_WORKSPACE_DIRECTORY")
    if checkout is None:
        raise UserError("BUILD_WORKSPACE_DIRECTORY is not set; call it by bazel run //ic-os/guestos/plan:update")
    text = plan_text(json.loads(Path(actions).read_text(encoding="utf-8")))
    with replacing(Path(checkout, PLAN)) as fd:
        write_all(fd, text.encode())
    print(f"{PLAN}: written", file=sys.stderr)


if __name__ == "__main__":
    run(PROGRAM, main)
