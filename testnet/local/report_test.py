import json

import pytest

from testnet.local import report
from testnet.local.samples import REPORT
from tools.core.errors import UserError


def test_a_report_is_read_as_it_was_written(tmp_path):
    report.write(tmp_path / "r.json", REPORT)
    assert report.read(tmp_path / "r.json") == REPORT


def changed(change):
    value = json.loads(json.dumps({"format": 1, "deployment": "n", "runs": [RUN]}))
    change(value)
    return json.dumps(value)


RUN = {
    "began": "2026-01-01T00:00:00Z",
    "version": "2",
    "sha256": "",
    "size": 1,
    "sent": 1,
    "tolerate": 0,
    "result": "finished",
    "nodes": [{"name": "a", "subnet": "s", "result": "upgraded", "steps": [{"what": "started", "at": 1}]}],
}


def test_the_sample_is_a_report(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(changed(lambda value: None))
    assert report.read(path).runs[0].nodes[0].steps == [report.Step("started", 1)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "1",
        "{}",
        changed(lambda value: value.pop("runs")),
        changed(lambda value: value["runs"][0].update(more=1)),
        changed(lambda value: value["runs"][0].update(size="1")),
        changed(lambda value: value["runs"][0]["nodes"][0].pop("name")),
        changed(lambda value: value["runs"][0]["nodes"][0].update(result="else")),
        changed(lambda value: value["runs"][0]["nodes"][0].update(problem=[])),
        changed(lambda value: value["runs"][0]["nodes"][0]["steps"][0].update(at=-1)),
        changed(lambda value: value["runs"][0]["nodes"][0]["steps"][0].update(at=float("nan"))),
        changed(lambda value: value["runs"][0]["nodes"][0]["steps"][0].update(what="else")),
        changed(lambda value: value["runs"][0]["nodes"][0]["steps"].append({"what": "lost", "at": 0})),
    ],
)
def test_another_file_is_an_error(tmp_path, text):
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(UserError, match=r"r\.json: is not the report of a roll-out"):
        report.read(tmp_path / "r.json")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"none: cannot be read: No such file"):
        report.read(tmp_path / "none")
    (tmp_path / "r.json").write_text('{"format": 9}')
    with pytest.raises(UserError, match=r"r\.json: is of another version"):
        report.read(tmp_path / "r.json")
