from xml.etree import ElementTree as ET

from testnet.model.chart import chart
from testnet.model.parameters import changed, read
from testnet.model.simulation import Result, simulate

SVG = "{http://www.w3.org/2000/svg}"


def test_a_roll_out_is_drawn():
    result = simulate(changed(read(), {"machines": 2000}, [(0.1, 3600), (1, 0)]))
    picture = chart(result)
    assert picture == chart(result)
    root = ET.fromstring(picture)
    texts = [each.text for each in root.iter(f"{SVG}text")]
    assert texts[0].startswith("2000 machines, ")
    assert {"0 %", "50 %", "100 %"} <= set(texts)
    (confirmed,) = [each for each in root.iter(f"{SVG}polyline") if each.get("stroke") == "#70ad47"]
    points = [tuple(map(float, each.split(","))) for each in confirmed.get("points").split()]
    assert points[0] == (90, 216)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)  # the share grows upwards
    assert 56 <= points[-1][1] < 60
    assert len(picture) < 100_000


def test_roll_outs_that_halt_or_in_which_nothing_happens():
    halted = simulate(changed(read(), {"machines": 2000, "defects": 1}, None))
    assert "halted: too " in chart(halted)
    ET.fromstring(chart(halted))
    ET.fromstring(chart(Result(machines=1)))
