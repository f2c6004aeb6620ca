"""The report about images that differ between two builds."""

import os
import re

import pytest

from tools.commands.compare_builds import Arguments, main
from tools.core.cli import call

PACKAGE = "defs/tests/reproducible/"
ROOT = {
    "DISK": "noisy_disk.tar{}: disk.img: partition 3 (root): ",
    "UPGRADE": "noisy_upgrade.tar{}: root.img: ",
}


@pytest.fixture(scope="module", params=ROOT)
def image(request):
    if request.param not in os.environ:
        pytest.skip("needs outputs of Bazel: bazel test //defs/tests/reproducible:report_test")
    return request.param


@pytest.fixture
def report(image, capfd):
    assert call(main, Arguments, "", ["compare_builds", f"--spec={os.environ[image]}", "--most=0"]) == 1
    archive = PACKAGE + ROOT[image].partition("{")[0]
    out, err = capfd.readouterr()
    suffixes = ("", ".gz", ".gz.sha256", ".sha256", ".zst", ".zst.sha256")
    assert f"differ in {', '.join(archive + suffix for suffix in suffixes)};" in err
    return out


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize(
    ("cause", "field"),
    [
        ("chance", r"byte \d+: 0x[\da-f]{2} / 0x[\da-f]{2}"),
        ("environment", r"size: \d+ / \d+"),  # TZ is set in the second build only
        ("path", r"size: \d+ / \d+"),
    ],
)
def test_each_cause_is_named_by_partition_path_and_field(report, image, suffix, cause, field):
    where = re.escape(f"{PACKAGE}{ROOT[image].format(suffix)}/etc/{cause}: ")
    assert re.search(f"^{where}{field}$", report, re.MULTILINE), report


def test_equal_files_are_not_reported(report):
    assert "boot" not in report
    assert "esp" not in report
