import itertools
import os
import shutil
import subprocess

import pytest

from guestos import versions

ORDERED = ["1.0~~", "1.0~~a", "1.0~", "1.0", "1.0a", "1.0b", "1.0+", "1.0.0", "1.0.1", "1.0.1-test", "1.0.09"]
ORDERED += ["1.0.10", "1.1", "2", "10", "a", "a1", "a10", "b"]


def test_order():
    turned = ORDERED[::-1]
    assert sorted(turned, key=versions.key) == ORDERED


def test_leading_zeros_do_not_count():
    assert versions.key("1.09") == versions.key("1.9")


def test_numbers_of_any_length_have_an_order():
    long = "1" + "0" * 5000
    assert versions.key("1.9") < versions.key(f"1.{long}") < versions.key(f"1.{long}0") < versions.key("2")


def test_dpkg_orders_them_the_same():
    dpkg = shutil.which("dpkg")
    if dpkg is None:
        if os.environ.get("ICOS_REQUIRE_ORACLES") == "1":
            pytest.fail("dpkg is missing: install the Debian package dpkg")
        pytest.skip("dpkg is missing: install the Debian package dpkg")
    for first, second in itertools.combinations([each for each in ORDERED if each[0].isdigit()], 2):
        result = subprocess.run([dpkg, "--compare-versions", first, "lt", second], check=False)
        assert (result.returncode == 0) == (versions.key(first) < versions.key(second)), (first, second)
