from xml.etree import ElementTree as ET

import pytest

from testnet.local.chart import chart
from testnet.local.report import FAILED, RUNNING, STARTED, Report
from testnet.local.samples import REPORT, STEPS, record, report

SVG = "{http://www.w3.org/2000/svg}"


def rectangles(text):
    """Returns title, offset and width of the rectangles with a title."""
    found = [each for each in ET.fromstring(text).iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    return [(each.find(f"{SVG}title").text, float(each.get("x")) - 190, float(each.get("width"))) for each in found]


def texts(text):
    return [each.text for each in ET.fromstring(text).iter(f"{SVG}text")]


def test_bars_are_as_long_as_the_phases():
    assert rectangles(chart(REPORT)) == [
        ("downloads: 0 s to 20 s", 0, 64),
        ("installs: 20 s to 40 s", 64, 64),
        ("commits: 40 s to 50 s", 128, 32),
        ("boots, is confirmed: 50 s to 100 s", 160, 160),
        ("downloads: 100 s to 150 s", 320, 160),
        ("is lost: 150 s to 200 s", 480, 160),
        ("<broken> & gone", 640, 4),
    ]


def test_every_node_is_named_with_its_result():
    shown = texts(chart(REPORT))
    for text in ("a (subnet 1)", "upgraded, 100 s", "failed, 200 s", "c (subnet 1)", "not tried", "0 s", "200 s"):
        assert text in shown
    assert "net, run 1 of 1: to version 2, halted" in shown


def test_runs_are_below_each_other():
    twice = Report(deployment="net", runs=REPORT.runs * 2)
    shown = texts(chart(twice))
    assert [each for each in shown if each.startswith("net, run ")] == [
        "net, run 1 of 2: to version 2, halted",
        "net, run 2 of 2: to version 2, halted",
    ]
    assert len(rectangles(chart(twice))) == 14


@pytest.mark.parametrize("last", [0.4, 7, 95, 1000, 86_400, 10_000_000])
def test_the_axis_has_few_ticks(last):
    shown = texts(chart(report(record("a", FAILED, (STARTED, 0), (FAILED, last)))))
    ticks = [each for each in shown if each.removesuffix(" s").isdigit()]
    assert 1 <= len(ticks) <= 11
    assert ticks[0] == "0 s"


def test_a_roll_out_that_was_killed():
    assert "running, installed at 40 s" in texts(chart(report(record("a", RUNNING, *STEPS[:3]), result=RUNNING)))


def test_nothing_happened():
    ET.fromstring(chart(Report(deployment="net")))
    assert "not tried" in texts(chart(report(record("c", "not tried"))))


def test_there_is_nothing_that_runs_and_nothing_of_elsewhere():
    text = chart(REPORT)
    assert "script" not in text
    assert text.count("http") == 1
    assert text == chart(REPORT)
