"""Builds the GuestOS a second time, in another environment: the outputs are equal.

Actions must not depend on the machine. Those of the second build find no programs but Python and those that start it,
so that an action that starts another program fails.

The first build is that of this test's inputs, perhaps from a cache. The second build shares only downloads with it. It
needs root and loop devices, so it can't run in Bazel's sandbox.
"""

import itertools
import os
import re
import sys
import time
from pathlib import Path

import pytest

from tests.downstream import repository_cache
from tests.repro.actions import faults, needed, read_actions
from tests.repro.surroundings import DAYS, FOLDER, HOST, STARTERS, USER, USER_NAME, other_surroundings
from tools.inspect.file_differences import file_differences

if "OUTPUTS" not in os.environ:
    pytest.skip("needs what Bazel built: bazel test //tests/repro:guestos_test", allow_module_level=True)

CHECKOUT = Path(os.path.realpath(__file__)).parents[2]
PACKAGES = ("//ic-os/guestos/dev", "//ic-os/guestos/prod")
DAY = 24 * 60 * 60


def given():
    """Returns the outputs of the first build, by path in `bazel-bin`."""
    return {word.partition("/")[2]: Path.cwd().parent / word for word in os.environ["OUTPUTS"].split()}


@pytest.fixture(scope="module")
def second(tmp_path_factory):
    with other_surroundings(CHECKOUT, repository_cache(), tmp_path_factory.mktemp("second")) as found:
        yield found


@pytest.fixture(scope="module")
def built(second):
    done = second.build("//surroundings", *(f"//{path.replace('/dev/', '/dev:')}" for path in given()))
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_every_action_was_run(built):
    (line,) = re.findall(r"^INFO: \d+ processes: (.*)\.$", built, re.MULTILINE)
    counts = {kind: int(count) for count, kind in (word.split(" ", 1) for word in line.split(", "))}
    assert counts.keys() == {"internal", "linux-sandbox"}
    assert counts["linux-sandbox"] >= 15


def test_the_surroundings_are_others(built, second):
    """The environment of an action of the second build differs."""
    seen = second.probed()
    assert int(seen["time"]) == pytest.approx(time.time() + DAYS * DAY, abs=DAY)
    assert seen["folder"].startswith(f"{FOLDER}/bazel/")
    del seen["time"], seen["folder"]
    assert (python := seen.pop("python")) != "{}.{}".format(*sys.version_info)
    assert seen == {
        "block_size": "1024",
        "cpus": "1",
        "encoding": "ascii",
        "host": HOST,
        "programs": " ".join(sorted([*STARTERS, "python3", f"python{python}"])),
        "seed": "4711",
        "source_mode": "600",
        "umask": "0o77",
        "user": str(USER),
        "zone": "+1400",
    }


@pytest.mark.parametrize("path", given())
def test_same_bytes(built, second, path):
    found = list(itertools.islice(file_differences(given()[path], second.output(path)), 20))
    assert not found, "\n".join(["first build / second build:", *found])


def test_actions_take_nothing_of_the_machine(second):
    """Checks all actions except for those of tests and of `bazel run`."""
    done = second.aquery(f"deps({' + '.join(f'{package}/...' for package in PACKAGES)})")
    assert done.returncode == 0, done.stderr

    def wanted(action):
        return action.label.startswith(PACKAGES) and action.rule != "py_binary" and not action.rule.endswith("_test")

    actions = needed(read_actions(done.stdout), wanted)
    made = {action.mnemonic for action in actions}
    assert {"DebianBaseRoot", "DiskImage", "Ext4Image", "Initramfs", "VerityImage", "VfatImage"} <= made
    assert {"UpgradeImage", "UpgradeManifest", "UpgradeSignature"} <= made
    machine = (str(FOLDER), HOST, USER_NAME, "of-the-client-alone", "Kiritimati", "tr_TR")
    found = [f"{action}: {fault}" for action in actions for fault in faults(action, machine)]
    assert not found, "\n".join(found)
