"""Tests what is said about package lists that are out of date; the functions are those of make-image.sh."""

import datetime as dt
import email.utils
import os
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FRAME = """
set -euo pipefail
say() { printf 'say: %s\\n' "$*"; }
fail() { printf 'fail: %s\\n' "$@" && exit 125; }
image=/nowhere ICOS_DEBIAN_MIRROR=http://mirror.example/debian
. "$1"
check_suite "$2"
echo done
"""


def days(number):
    time = dt.datetime.now(dt.UTC) + dt.timedelta(days=number, hours=1)
    return email.utils.format_datetime(time, usegmt=True).replace("GMT", "UTC")


def check(tmp_path, text, **environment):
    record = tmp_path / "suite"
    record.write_text(text)
    command = ["bash", "-c", FRAME, "test", HERE / "make-image.sh", record]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


@pytest.mark.parametrize("text", [f"Valid-Until: {days(3)}\nDate: {days(-4)}\n", f"Date: {days(-400)}\n"])
def test_current(tmp_path, text):
    result = check(tmp_path, text, ICOS_REQUIRE_CURRENT_MIRROR="1")
    assert (result.stdout, result.stderr, result.returncode) == ("done\n", "", 0)


def test_out_of_date(tmp_path):
    result = check(tmp_path, f"Date: {days(-12)}\nValid-Until: {days(-6)}\n")
    assert "say: warning: the package lists of http://mirror.example/debian are of" in result.stdout
    assert "ended being valid 5 days ago; packages may lack security updates" in result.stdout
    assert result.stdout.endswith("done\n")


def test_out_of_date_where_that_is_an_error(tmp_path):
    result = check(tmp_path, f"Date: {days(-12)}\nValid-Until: {days(-6)}\n", ICOS_REQUIRE_CURRENT_MIRROR="1")
    assert result.returncode == 125
    assert result.stdout.startswith("fail: the package lists of http://mirror.example/debian are of")
    assert "fail: another mirror is taken from ICOS_DEBIAN_MIRROR" in result.stdout


def test_no_date(tmp_path):
    result = check(tmp_path, "")
    assert result.returncode == 125
    assert "have no date" in result.stdout
