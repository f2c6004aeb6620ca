from xml.etree import ElementTree as ET

from testnet.local.chart import chart
from testnet.local.rollout import FAILED, UPGRADED, Record

SVG = "{http://www.w3.org/2000/svg}"
RECORDS = [
    Record(name="a", subnet="subnet 1", result=UPGRADED, before="1", after="2", started=0, installed=40, ended=100),
    Record(name="b", subnet="subnet 1", result=FAILED, started=100, ended=200, problem="<broken> & gone"),
    Record(name="c", subnet="root subnet"),
]


def test_bars_are_as_long_as_the_times():
    root = ET.fromstring(chart(RECORDS))
    bars = [each for each in root.iter(f"{SVG}rect") if each.find(f"{SVG}title") is not None]
    found = [(float(each.get("x")), float(each.get("width"))) for each in bars]
    assert found == [(220, 144), (364, 216), (580, 360)]
    assert [each.find(f"{SVG}title").text for each in bars] == ["1", "2", "<broken> & gone"]


def test_every_node_is_named():
    texts = [each.text for each in ET.fromstring(chart(RECORDS)).iter(f"{SVG}text")]
    for text in ("a (subnet 1)", "upgraded, 100 s", "failed, 200 s", "c (root subnet)", "not tried"):
        assert text in texts


def test_nothing_happened():
    assert "not tried" in chart(RECORDS[2:])
    ET.fromstring(chart([]))
