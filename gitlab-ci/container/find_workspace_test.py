"""Tests which folder of this machine the container shows and works in; the functions are those of container-run.sh."""

import os
import re
import subprocess
from pathlib import Path

import pytest

SCRIPT = (Path(__file__).parent / "container-run.sh").read_text()
FUNCTIONS = "".join(
    re.search(rf"^{name}\(\) {{.*?^}}\n", SCRIPT, re.MULTILINE | re.DOTALL)[0]
    for name in ("find_workspace", "is_module")
)
FRAME = f"set -euo pipefail\ncheckout=$1\n{FUNCTIONS}\nfind_workspace\necho $module\necho $workspace"


@pytest.fixture
def folder(tmp_path):
    for module in ("checkout", "checkout/examples/one", "other", "homes"):
        (tmp_path / module / "below").mkdir(parents=True)
        (tmp_path / module / "MODULE.bazel").touch()
    (tmp_path / "homes" / "user").mkdir()
    return tmp_path


def found(folder, current):
    """Returns module and workspace."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder / "homes" / "user")}
    command = ["bash", "-c", FRAME, "test", folder / "checkout"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=current, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("current", ["checkout", "checkout/below"])
def test_in_the_checkout(folder, current):
    assert found(folder, folder / current) == [folder / "checkout"] * 2


def test_a_module_in_the_checkout_shares_its_container(folder):
    assert found(folder, folder / "checkout/examples/one/below") == [
        folder / "checkout/examples/one",
        folder / "checkout",
    ]


def test_another_module_has_a_container_of_its_own(folder):
    assert found(folder, folder / "other/below") == [folder / "other"] * 2


@pytest.mark.parametrize("current", ["/", "/usr", "."])
def test_in_no_module_it_is_the_checkout_and_never_all_of_this_machine(folder, current):
    assert found(folder, folder / current) == [folder / "checkout"] * 2


@pytest.mark.parametrize("current", ["homes/below", "homes/user"])
def test_a_module_with_the_home_in_it_is_not_shown(folder, current):
    assert found(folder, folder / current) == [folder / "checkout"] * 2
