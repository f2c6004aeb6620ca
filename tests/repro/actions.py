"""Finds dependencies of a build's actions on the machine, in the output of `bazel aquery`.

The options of aquery are `--output=jsonproto --include_param_files --include_file_write_contents`. The output is an
ActionGraphContainer of Bazel's analysis_v2.proto.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

IN_AN_IMAGE = frozenset({"link", "overrides", "path", "paths", "target"})
"""Keys of tools' specifications whose values are paths in the image, and so may be absolute."""

REQUIREMENTS = frozenset(
    {
        "block-network",
        "no-remote-exec",
        "requires-worker-protocol",
        "supports-path-mapping",
        "supports-workers",
        "worker-key-mnemonic",
    }
)
"""Permitted execution requirements of actions: none that weaken the sandbox or disable caching."""

_ABSOLUTE = re.compile(r"""(?:^|[=:,@\s"'<>|;(])/(?!/)""")


@dataclasses.dataclass(frozen=True)
class Action:
    """An action.

    Attributes:
        label: of its target.
        rule: the class of the target's rule.
        mnemonic: its kind.
        key: Bazel's hash of all but its inputs' contents.
        arguments: its command line, with the contents of parameter files; empty if it runs no program.
        environment: variables that it is given.
        requirements: its execution info.
        inputs: paths.
        outputs: paths.
        content: of the file that it writes, if it only does that.
    """

    label: str
    rule: str
    mnemonic: str
    key: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    requirements: Mapping[str, str]
    inputs: frozenset[str]
    outputs: frozenset[str]
    content: str = ""

    def __str__(self) -> str:
        return f"{self.mnemonic} of {self.label}"


def read_actions(text: str) -> list[Action]:
    """Parses the output of aquery."""
    graph = json.loads(text)
    paths = _paths(graph)
    members = _members(graph)
    rules = {rule["id"]: rule["name"] for rule in graph.get("ruleClasses", [])}
    targets = {target["id"]: target for target in graph["targets"]}
    return [
        Action(
            label=targets[action["targetId"]]["label"],
            rule=rules.get(targets[action["targetId"]].get("ruleClassId"), ""),
            mnemonic=action["mnemonic"],
            key=action["actionKey"],
            arguments=(
                *action.get("arguments", ()),
                *(word for file in action.get("paramFiles", ()) for word in file.get("arguments", ())),
            ),
            environment=_pairs(action.get("environmentVariables", ())),
            requirements=_pairs(action.get("executionInfo", ())),
            inputs=frozenset(paths[one] for each in action.get("inputDepSetIds", ()) for one in members(each)),
            outputs=frozenset(paths[one] for one in action["outputIds"]),
            # A runfiles manifest is only for Bazel itself, and has absolute paths; actions get the files.
            content="" if action["mnemonic"] == "SourceSymlinkManifest" else action.get("fileContents", ""),
        )
        for action in graph["actions"]
    ]


def _pairs(entries: Collection[Mapping[str, str]]) -> dict[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries}


def _paths(graph: Mapping[str, Any]) -> dict[int, str]:
    """Returns the paths of artifacts by ID, from their chains of path fragments."""
    fragments = {fragment["id"]: fragment for fragment in graph["pathFragments"]}

    def path(number: int) -> str:
        names = []
        while number:
            names.append(fragments[number]["label"])
            number = fragments[number].get("parentId", 0)
        return "/".join(reversed(names))

    return {artifact["id"]: path(artifact["pathFragmentId"]) for artifact in graph["artifacts"]}


def _members(graph: Mapping[str, Any]) -> Callable[[int], frozenset[int]]:
    """Returns a function that returns the artifacts of a depset, including those of its nested sets."""
    sets = {each["id"]: each for each in graph["depSetOfFiles"]}
    known: dict[int, frozenset[int]] = {}

    def members(number: int) -> frozenset[int]:
        waiting = [number]
        while waiting:
            top = sets[waiting[-1]]
            missing = [each for each in top.get("transitiveDepSetIds", ()) if each not in known]
            if missing:
                waiting += missing
                continue
            below = (known[each] for each in top.get("transitiveDepSetIds", ()))
            known[waiting.pop()] = frozenset(top.get("directArtifactIds", ())).union(*below)
        return known[number]

    return members


def needed(actions: Collection[Action], wanted: Callable[[Action], bool]) -> list[Action]:
    """Returns the wanted actions and those that create their inputs, directly and indirectly.

    Dependencies of a target may have further actions that a build of the target doesn't run.
    """
    makers = {output: action for action in actions for output in action.outputs}
    found: dict[int, Action] = {}
    waiting = [action for action in actions if wanted(action)]
    while waiting:
        action = waiting.pop()
        if id(action) not in found:
            found[id(action)] = action
            waiting += [makers[path] for path in action.inputs if path in makers]
    return list(found.values())


def faults(action: Action, machine: Collection[str]) -> Iterator[str]:
    """Yields descriptions of an action's dependencies on the build machine.

    Args:
        action: the action.
        machine: what no action may name in any way: paths of the machine's folders, names of its host and user.
    """
    if action.arguments:
        program = action.arguments[0]
        if program.startswith("/") or "/" not in program:
            yield f"runs {program}, a program of the machine"
        elif program not in action.inputs and _unmapped(program) not in map(_unmapped, action.inputs):
            yield f"runs {program}, which is none of its inputs"
        yield from (f"gives the absolute path {word}" for word in _absolute(action.arguments[1:]))
    yield from (f"has {name}={value} in its environment" for name, value in sorted(action.environment.items()))
    yield from (f"asks for {name}" for name in sorted(action.requirements) if not _permitted(name))
    yield from (f"takes {path}" for path in sorted(action.inputs) if _of_the_machine(path))
    texts = (*action.arguments, *action.outputs, action.content, *action.environment.values())
    for name in machine:
        if any(name in text for text in texts):
            yield f"names {name}"


def _permitted(requirement: str) -> bool:
    return requirement in REQUIREMENTS or requirement.startswith(("cpu:", "resources:"))


def _of_the_machine(path: str) -> bool:
    """Returns whether a path is absolute, or in a repository with programs of the machine."""
    return path.startswith("/") or re.match("external/[^/]*local_config_(?!platform)", path) is not None


def _unmapped(path: str) -> str:
    """Returns a path without the name of its configuration, as path mapping does in command lines."""
    return re.sub("^bazel-out/[^/]+/", "bazel-out/cfg/", path)


def _absolute(arguments: Collection[str]) -> Iterator[str]:
    """Yields the absolute paths in arguments, also in the values of a JSON object."""
    text = " ".join(arguments)
    if text.startswith("{"):
        yield from _absolute_values(json.loads(text), "")
    else:
        yield from (word for word in arguments if _ABSOLUTE.search(word))


def _absolute_values(value: object, key: str) -> Iterator[str]:
    match value:
        case dict():
            for name, each in value.items():
                yield from _absolute_values(each, name)
        case list():
            for each in value:
                yield from _absolute_values(each, key)
        case str():
            if key not in IN_AN_IMAGE and _ABSOLUTE.search(value):
                yield f"{key}={value}"
