"""Budgets of an image and its parts."""

import pytest

from tools.core.errors import UserError
from tools.report.budget import exceeded, size_of
from tools.report.usage import FileUsage, PackageUsage, Usage, VolumeUsage


def usage(library=1000, extra=()):
    files = [("A_root:/usr/lib/a", library), ("A_root:/usr/lib/b/c", 200), ("A_root:/usr/library", 50), *extra]
    rows = tuple(FileUsage(path=path, size=n, data=n, compressed=n // 2, sha256="") for path, n in files)
    data = sum(row.data for row in rows)
    return Usage(
        name="disk.tar",
        size=10000,
        data=data + 100,
        compressed=data // 2,
        volumes=(VolumeUsage(name="A_root", holds="ext4", size=9000, data=data, files=data, other=0),),
        packages=(PackageUsage(name=""), PackageUsage(name="hello", data=library)),
        files=rows,
        rights=(),
    )


@pytest.mark.parametrize(
    ("subject", "size"),
    [
        ("total", 1350),
        ("compressed", 625),
        ("A_root", 1250),
        ("package:hello", 1000),
        ("A_root:/usr/lib", 1200),
        ("A_root:/usr/lib/", 1200),
        ("A_root:/usr/lib/a", 1000),
        ("A_root:/", 1250),
    ],
)
def test_sizes(subject, size):
    assert size_of(usage(), subject) == size


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("A_rot", "disk.tar: has no A_rot; did you mean A_root?"),
        ("package:helo", "has no package:helo; did you mean package:hello?"),
        ("/usr/lib", "has no /usr/lib; give total, compressed, a partition, package:NAME or a path"),
        ("package:", "has no package:;"),
    ],
)
def test_unknown_subjects(subject, message):
    with pytest.raises(UserError) as caught:
        size_of(usage(), subject)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("max_size", "max_growth", "lines"),
    [
        ({"total": 1350, "A_root": 1250}, {}, []),
        ({"total": 1349}, {}, ["total: has 1350 bytes, 1 more than the 1349 of max_size"]),
        ({}, {"package:hello": "100"}, []),
        ({}, {"package:hello": "12%"}, []),
        (
            {},
            {"package:hello": "99"},
            ["package:hello: grew by 100 bytes, from 900 to 1000; max_growth allows 99 (99)"],
        ),
        (
            {},
            {"package:hello": "11%", "total": "1K"},
            ["package:hello: grew by 100 bytes, from 900 to 1000; max_growth allows 99 (11%)"],
        ),
        ({}, {"A_root:/new": "6"}, ["A_root:/new: grew by 7 bytes, from 0 to 7; max_growth allows 6 (6)"]),
    ],
)
def test_budgets(max_size, max_growth, lines):
    now = usage(extra=[("A_root:/new", 7)] if "A_root:/new" in max_growth else ())
    assert list(exceeded(now, usage(900), max_size, max_growth)) == lines


def test_growth_needs_an_earlier_report():
    with pytest.raises(UserError, match="max_growth: there is no earlier report to compare with"):
        list(exceeded(usage(), None, {}, {"total": "1%"}))


def test_growth_must_be_a_size():
    with pytest.raises(UserError, match="max_growth: total: "):
        list(exceeded(usage(), usage(), {}, {"total": "much"}))
