import itertools

import pytest

from tools.debian.versions import compare_versions
from tools.testing.oracles import ask

IN_ORDER = (
    "1.0~",
    "1.0~beta1~svn1245",
    "1.0~beta1",
    "1.0",
    "1.0-0ubuntu1",
    "1.0-1",
    "1.0-1+b1",
    "1.0-10",
    "1.0a",
    "1.0+dfsg",
    "1.2.3-4",
    "1.2.10-1",
    "9-1-2",
    "10",
    f"1{'0' * 5000}",
    f"1{'0' * 4999}1",
    "1:0.5",
    "2:0.1",
    f"1{'0' * 5000}:0",
)


def test_order():
    for (place, one), (other_place, other) in itertools.product(enumerate(IN_ORDER), repeat=2):
        result = compare_versions(one, other)
        assert (result > 0, result < 0) == (place > other_place, place < other_place), (one, other)


@pytest.mark.parametrize(("one", "other"), [("1.0", "0:1.0"), ("1.0-0", "1.0"), ("1.00", "1.0")])
def test_equal(one, other):
    assert compare_versions(one, other) == 0


def test_dpkg_has_the_same_order():
    for one, other in itertools.pairwise(version for version in IN_ORDER if len(version) < 100):
        ask("dpkg", "--compare-versions", one, "lt", other)


@pytest.mark.parametrize("version", ["a:1", ":1", "-1:1", "\uff11:1"])
def test_invalid_epoch(version):
    with pytest.raises(ValueError, match=r"the epoch '.*' is not a number"):
        compare_versions(version, "1")
