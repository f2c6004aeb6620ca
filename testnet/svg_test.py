from xml.etree import ElementTree as ET

import pytest

from testnet.svg import document, duration, line, rectangle, second_ticks, text


def test_a_document_is_xml():
    body = [
        text(1, 2, "<a> & b"),
        rectangle(0, 0, 1, 1, "#000000", title='"<x>"'),
        line([(0, 0), (1.25, 2)], "#000000"),
    ]
    root = ET.fromstring(document(10, 20, body))
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("10", "20", "0 0 10 20")
    assert [each.tag.partition("}")[2] for each in root] == ["rect", "text", "rect", "polyline"]
    assert root[1].text == "<a> & b"
    assert root[2][0].text == '"<x>"'
    assert root[3].get("points") == "0.0,0.0 1.2,2.0"


@pytest.mark.parametrize("last", [0.4, 7, 95, 1000, 86_400, 10_000_000])
def test_an_axis_has_few_ticks(last):
    ticks = second_ticks(last)
    assert ticks[0] == 0
    assert len(ticks) <= 11
    assert last / 2.6 < ticks[-1] <= last or last < 1


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0 s"), (0.25, "0.25 s"), (119, "119 s"), (120, "2 min"), (9000, "2.5 h"), (200_000, "2.31 d")],
)
def test_durations(seconds, shown):
    assert duration(seconds) == shown
