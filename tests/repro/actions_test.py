"""Tests finding dependencies on the machine, in the recorded actions of a bad rule."""

import dataclasses
from pathlib import Path

import pytest

from tests.repro.actions import Action, faults, needed, read_actions

RECORDED = Path(__file__).with_name("bad_actions.json")
"""The actions of an ext4_image in /srv/checkout, with TZ, and a file from `cp /usr/share/zoneinfo/UTC $1`."""

GOOD = Action(
    label="//a:b",
    rule="disk_image",
    mnemonic="DiskImage",
    key="0",
    arguments=("bazel-out/cfg/bin/tools/tool", "--output=bazel-out/cfg/bin/a/b"),
    environment={},
    requirements={"supports-path-mapping": "1"},
    inputs=frozenset({"bazel-out/k8-opt-exec/bin/tools/tool", "a/source", "external/trixie/a.deb"}),
    outputs=frozenset({"bazel-out/k8-fastbuild/bin/a/b"}),
)


@pytest.fixture(scope="module")
def recorded():
    actions = read_actions(RECORDED.read_text(encoding="utf-8"))
    return needed(actions, lambda action: action.mnemonic == "Ext4Image")


def of(actions, mnemonic):
    (action,) = (action for action in actions if action.mnemonic == mnemonic)
    return list(faults(action, ["/srv/checkout", "Kiritimati"]))


def test_actions_of_other_outputs_are_not_needed(recorded):
    assert {action.mnemonic for action in recorded} == {"Bad", "Ext4Image", "FileWrite"}
    assert {action.label for action in recorded} == {"//example:bad", "//example:root"}


def test_bad_rule(recorded):
    assert of(recorded, "Bad") == [
        "runs /bin/bash, a program of the machine",
        "gives the absolute path cp /usr/share/zoneinfo/UTC $1",
        "has PATH=/bin:/usr/bin:/usr/local/bin in its environment",
        "has TZ=Pacific/Kiritimati in its environment",
        "asks for no-sandbox",
        "asks for requires-network",
        "names Kiritimati",
    ]
    assert of(recorded, "FileWrite") == ["names /srv/checkout"]


def test_paths_in_an_image_are_no_paths_of_the_machine(recorded):
    (action,) = (action for action in recorded if action.mnemonic == "Ext4Image")
    inputs = action.inputs | {"bazel-out/k8-opt-exec/bin/tools/build_ext4_image"}
    assert "/etc/bad" in " ".join(action.arguments)
    assert list(faults(dataclasses.replace(action, inputs=inputs), [])) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"arguments": ("bash",)}, ["runs bash, a program of the machine"]),
        ({"arguments": ("tools/other",)}, ["runs tools/other, which is none of its inputs"]),
        ({"arguments": (*GOOD.arguments, "--in=/x")}, ["gives the absolute path --in=/x"]),
        ({"arguments": (*GOOD.arguments[:1], '{"source":', '"/x"}')}, ["gives the absolute path source=/x"]),
        ({"arguments": (*GOOD.arguments, "@@//a:b", "a/b")}, []),
        ({"environment": {"LANG": "C"}}, ["has LANG=C in its environment"]),
        ({"requirements": {"no-cache": "1"}}, ["asks for no-cache"]),
        ({"requirements": {"cpu:2": "", "block-network": "1"}}, []),
        ({"inputs": GOOD.inputs | {"/etc/passwd"}}, ["takes /etc/passwd"]),
        ({"inputs": GOOD.inputs | {"external/local_config_cc/x"}}, ["takes external/local_config_cc/x"]),
        ({"inputs": GOOD.inputs | {"external/a~local_config_python/x"}}, ["takes external/a~local_config_python/x"]),
        ({"outputs": frozenset({"bazel-out/host-name/b"})}, ["names host-name"]),
    ],
)
def test_each_fault(changes, expected):
    assert list(faults(dataclasses.replace(GOOD, **changes), ["host-name"])) == expected
