"""Tests that the templates of the registry's entry have the form that its checker demands.

Of metadata.json that is `metadata.schema.json` of the Bazel Central Registry; of presubmit.yml, for which there is no
schema, what `tools/bcr_validation.py` and `bcr_presubmit.py` of Bazel's CI read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

TEMPLATES = Path(__file__).parents[2] / ".bcr"
VERSIONS = ["7.x", "8.x", "9.x"]

FIELDS = {
    "deprecated": str,
    "homepage": str,
    "maintainers": list,
    "repository": list,
    "versions": list,
    "yanked_versions": dict,
}
REQUIRED = {"homepage", "maintainers", "repository", "versions", "yanked_versions"}
"""`repository` is the registry's rule, not the schema's; the other templates of a release need `yanked_versions`."""

MAINTAINER = {"do_not_notify": bool, "email": str, "github": str, "github_user_id": int, "name": str}

TASK = {"bazel", "build_flags", "build_targets", "name", "platform", "test_flags", "test_targets"}
"""Keys of a task that these templates use, of those that the CI has."""


def wrong_metadata(metadata: dict[str, Any]) -> list[str]:
    """Returns what is wrong with a metadata.json, but for a missing maintainer."""
    wrong = [f"{name}: is missing" for name in sorted(REQUIRED - metadata.keys())]
    wrong += [f"{name}: is unknown" for name in sorted(metadata.keys() - FIELDS.keys())]
    wrong += [
        f"{name}: is no {FIELDS[name].__name__}" for name, value in metadata.items() if not _is(FIELDS, name, value)
    ]
    for maintainer in metadata.get("maintainers", []):
        wrong += [f"maintainers: {name}: is unknown" for name in sorted(maintainer.keys() - MAINTAINER.keys())]
        wrong += [
            f"maintainers: {name}: is wrong" for name, value in maintainer.items() if not _is(MAINTAINER, name, value)
        ]
        if not re.fullmatch("[-a-zA-Z0-9]+", str(maintainer.get("github", ""))):
            wrong.append("maintainers: github: is no name of an account")
        if "github_user_id" not in maintainer:
            wrong.append("maintainers: github_user_id: is missing")
    wrong += [
        f"repository: {place}: is not github:ACCOUNT/NAME"
        for place in metadata.get("repository", [])
        if not re.fullmatch("github:[^/]+/[^/]+", place)
    ]
    return wrong


def _is(types: Mapping[str, type], name: str, value: object) -> bool:
    return name not in types or type(value) is types[name]


def expanded(tasks: dict[str, Any], matrix: dict[str, list[str]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each task by its name, with `${{ NAME }}` replaced by the values of the matrix.

    Raises:
        KeyError: the matrix has no such name.
    """
    for name, task in tasks.items():
        values = {}
        for key, value in task.items():
            variable = re.fullmatch(r"\$\{\{ (\w+) \}\}", value) if isinstance(value, str) else None
            values[key] = matrix[variable[1]] if variable else value
        yield name, values


@pytest.fixture(scope="module")
def presubmit() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((TEMPLATES / "presubmit.yml").read_text())
    return loaded


def test_metadata() -> None:
    metadata = json.loads((TEMPLATES / "metadata.template.json").read_text())
    assert wrong_metadata(metadata) == []
    assert (metadata["versions"], metadata["yanked_versions"]) == ([], {}), "a release fills these in"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"homepage": None}, "homepage: is no str"),
        ({"website": "x"}, "website: is unknown"),
        ({"repository": ["https://example.org"]}, "repository: https://example.org: is not github:ACCOUNT/NAME"),
        ({"maintainers": [{"github": "@me", "github_user_id": 1}]}, "maintainers: github: is no name of an account"),
        ({"maintainers": [{"github": "me"}]}, "maintainers: github_user_id: is missing"),
        ({"maintainers": [{"github": "me", "github_user_id": "1"}]}, "maintainers: github_user_id: is wrong"),
    ],
)
def test_what_is_wrong_with_metadata(change: dict[str, object], message: str) -> None:
    metadata = json.loads((TEMPLATES / "metadata.template.json").read_text())
    assert wrong_metadata(metadata | change) == [message]


def test_presubmit(presubmit: dict[str, Any]) -> None:
    """Every task has what the checker demands, and each supported version of Bazel builds the rules and a module."""
    assert presubmit.keys() == {"bcr_test_module", "matrix", "tasks"}
    module = presubmit["bcr_test_module"]
    assert module.keys() == {"matrix", "module_path", "tasks"}
    for part in (presubmit, module):
        tasks = list(expanded(part["tasks"], part["matrix"]))
        assert tasks
        for name, task in tasks:
            assert task.keys() <= TASK, name
            assert task["bazel"] == VERSIONS, name
            assert task["platform"], name
            assert task["build_targets"], name
            targets = [*task["build_targets"], *task.get("test_targets", [])]
            assert [target for target in targets if not re.fullmatch("(@rules_icos)?//[^:]*:[^:]+", target)] == [], name


def test_the_test_module_uses_its_own_targets(presubmit: dict[str, Any]) -> None:
    """Tasks of the registry's other modules name the rules by their repository; a test module is the main one."""
    for task in presubmit["tasks"].values():
        assert all(target.startswith("@rules_icos//") for target in task["build_targets"])
    for task in presubmit["bcr_test_module"]["tasks"].values():
        assert all(target.startswith("//") for target in task["build_targets"] + task["test_targets"])
