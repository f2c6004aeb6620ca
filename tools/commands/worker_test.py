"""Tests that a persistent worker writes the same bytes as a process for one call, whatever it did before."""

import json
import os
import subprocess
import sys

import pytest

from tools.testing.command_cases import CASES, make_inputs

REQUESTS = ["secret", None, "other", "secret", "other", None, "other", "secret"]
"""Contents of the inputs, one request after the other; None for a request that fails."""

SAME = {"debian_data", "extension_release", "image_layers", "secure_boot_signature", "vulnerability_report"}
"""The commands whose outputs are the same for other contents."""

WITHOUT_INPUTS = {"oci_root": ": is no OCI layout, since it has no file oci-layout; give one, or a tar\n"}
"""What commands say of inputs that don't exist, where it isn't the message of the system."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder of inputs for each content."""
    folder = tmp_path_factory.mktemp("inputs")
    for content in {*REQUESTS} - {None}:
        make_inputs(folder / content, content)
        words = json.dumps(CASES["upgrade_manifest"] | {"output": "in/manifest"}, indent=1).splitlines()
        (folder / "in").symlink_to(folder / content)
        with process("upgrade_manifest", folder) as worker:
            assert request(worker, words)["exitCode"] == 0
        (folder / "in").unlink()
    return folder


def process(name, folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", f"tools.commands.{name}", *(words or ["--persistent_worker"])],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def request(worker, words):
    worker.stdin.write(json.dumps({"arguments": words, "inputs": []}) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def outputs(folder):
    """Returns content and mode of all outputs, and removes them."""
    found = {}
    for path in sorted((folder / "out").iterdir()):
        found[path.name] = (path.read_bytes(), path.stat().st_mode)
        path.unlink()
    return found


@pytest.mark.parametrize("name", CASES)
def test_bytes_are_those_of_a_process_of_its_own(inputs, tmp_path, name):
    words = json.dumps(CASES[name], indent=1).splitlines()
    (tmp_path / "words").write_text("\n".join(words))
    (tmp_path / "out").mkdir()
    link = tmp_path / "in"
    expected = {}
    for content in {*REQUESTS} - {None}:
        link.symlink_to(inputs / content)
        with process(name, tmp_path, "@words") as alone:
            alone.communicate()
        assert alone.returncode == 0
        expected[content] = outputs(tmp_path)
        link.unlink()
    assert (expected["secret"] != expected["other"]) == (name not in SAME)
    with process(name, tmp_path) as worker:
        for content in REQUESTS:
            if content is None:
                said = request(worker, words)  # without inputs
                assert said["exitCode"] == 2
                assert said["output"].startswith("error: ")
                assert said["output"].endswith(WITHOUT_INPUTS.get(name, ": No such file or directory\n"))
                assert said["output"].count("\n") == 1
                assert outputs(tmp_path) == {}
            else:
                link.symlink_to(inputs / content)
                assert request(worker, words)["exitCode"] == 0
                assert outputs(tmp_path) == expected[content]
                link.unlink()
