"""The report on a small disk: page, JSON, and what a browser makes of the page."""

import io
import json
import re
import sys

import pytest

from tools.commands import image_budget_check, image_report
from tools.core.cli import call
from tools.image.rawfile import write_raw
from tools.testing import sample_disk
from tools.testing.html_page import Page

EVIL = "<script>alert(1)</script>&amp;"
STATUS = "Package: hello\nStatus: install ok installed\nVersion: 1.0\nArchitecture: all\n"
SBOM = {
    "bomFormat": "CycloneDX",
    "components": [
        {
            "type": "library",
            "name": "hello",
            "version": "1.0",
            "purl": "pkg:deb/debian/hello@1.0?arch=all",
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "hashes": [{"alg": "SHA-256", "content": "ab" * 32}],
            "externalReferences": [{"type": "distribution", "url": "https://deb.example/hello.deb"}],
            "properties": [{"name": "rules_icos:source", "value": "hello"}],
        }
    ],
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sbom.cdx.json").write_text(json.dumps(SBOM))
    return tmp_path


def write_disk(path, *lines):
    status, listed = f"var/lib/dpkg/status = {STATUS}", "var/lib/dpkg/info/hello.list = /usr/bin/hello\n"
    root = sample_disk.root_tree(
        "usr/bin/hello = " + "x" * 9000, f"etc/{EVIL.replace('/', '')} = 1", status, listed, *lines
    )
    esp = sample_disk.root_tree("A = loader")
    write_raw(sample_disk.disk(sample_disk.fat(esp), sample_disk.ext4(root)), path)


def report(*words):
    return call(image_report.main, image_report.Arguments, "", ["image_report", *words])


def check(*words):
    return call(image_budget_check.main, image_budget_check.Arguments, "", ["image_budget_check", *words])


def test_page_is_complete_and_needs_nothing_else(folder):
    write_disk("disk.img")
    assert report("disk.img", "--sbom=sbom.cdx.json", "--html=a.html", "--json=a.json", f"--name={EVIL}") == 0
    page = Page((folder / "a.html").read_text())
    assert "script" not in page.tags
    assert page.loads == []
    assert set(page.anchors) == set(page.ids)
    assert "changes" not in page.ids
    for expected in (EVIL, EVIL.replace("/", ""), "A_root", "MIT OR Apache-2.0", "deb.example", "ab" * 32, "hello"):
        assert expected in page.text
    assert json.loads((folder / "a.json").read_text())["packages"][1]["license"] == "MIT OR Apache-2.0"


def test_page_says_what_targets_brought(folder):
    write_disk("disk.img", "etc/own = " + "z" * 5000)
    layers = {"A_root": {"//:base": ["/usr/bin/hello", "/var/lib/dpkg/status"], "//app:tree": ["/etc/own"]}}
    (folder / "layers.json").write_text(json.dumps(layers))
    assert report("disk.img", "--layers=layers.json", "--html=a.html", "--json=a.json") == 0
    rows = {row[0]: row[1:6] for row in Page((folder / "a.html").read_text()).rows}
    status = str(len(STATUS))
    assert rows["//:base"] == ["2", "8.9K", "1%", "1", status]
    assert rows["//app:tree"] == ["1", "4.9K", "0%", "1", "4.9K"]
    assert rows["(no root tree)"][0] == "3"
    files = json.loads((folder / "a.json").read_text())["files"]
    assert {each["path"]: each["layer"] for each in files}["A_root:/etc/own"] == "//app:tree"
    assert report("disk.img", "--html=a.html") == 0
    assert "layers" not in Page((folder / "a.html").read_text()).ids


def test_same_image_same_bytes(folder):
    write_disk("disk.img")
    for name in ("a", "b"):
        assert report("disk.img", f"--html={name}.html", f"--json={name}.json") == 0
    assert (folder / "a.html").read_bytes() == (folder / "b.html").read_bytes()
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()


def test_changes_and_budgets_since_an_earlier_build(folder, capsys):
    write_disk("old.img")
    write_disk("new.img", "usr/share/big = " + "y" * 50000)
    assert report("old.img", "--json=old.json") == 0
    assert report("new.img", "--json=new.json", "--before=old.json", "--html=new.html") == 0
    page = Page((folder / "new.html").read_text())
    assert "Changes since old.img" in page.text
    assert "A_root:/usr/share/big" in page.text.partition("Files: 1 differ")[2].partition("Packages")[0]
    assert check("new.json", "--before=old.json", '--max_growth={"package:hello": "0", "total": "60K"}') == 0
    capsys.readouterr()
    limits = ['--max_size={"A_root": "10K"}', '--max_growth={"A_root:/usr/share": "49K", "esp": "0%"}']
    assert check("new.json", "--before=old.json", *limits) == 1
    said = capsys.readouterr()
    assert re.match(r"A_root: has \d+ bytes, \d+ more than the 10240 of max_size\n", said.out)
    assert "A_root:/usr/share: grew by" not in said.out
    assert "new.img: 1 budgets are exceeded" in said.err


def test_exceeded_budgets_are_written_before_the_error(folder, monkeypatch):
    write_disk("disk.img")
    assert report("disk.img", "--json=disk.json") == 0
    log = io.BytesIO()
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(log, line_buffering=name == "stderr"))
    assert check("disk.json", '--max_size={"A_root": "1"}') == 1
    lines = log.getvalue().decode().splitlines()
    assert [line.partition(":")[0] for line in lines] == ["A_root", "error"]


def test_largest_parts_without_a_file(folder, capfd):
    write_disk("disk.img")
    assert report("disk.img") == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("disk.img: ")
    assert "  8.8K package hello" in lines
    assert "  8.8K A_root:/usr/bin/hello" in lines


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["disk.img", "--before=sbom.cdx.json"], "sbom.cdx.json: format: must be 1; give a report that image_report"),
        (["disk.img", "--sbom=disk.img"], "disk.img:1: is not JSON: "),
        (["missing.img"], "missing.img"),
    ],
)
def test_errors(folder, capsys, words, message):
    write_disk("disk.img")
    assert report(*words) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "message"), [([], "there is nothing to check"), (['--max_size={"x": 1}'], "has no x;")]
)
def test_errors_of_budgets(folder, capsys, words, message):
    write_disk("disk.img")
    assert report("disk.img", "--json=a.json") == 0
    assert check("a.json", *words) == 2
    assert message in capsys.readouterr().err
