"""What the page on partitions.csv shows is what the reader of layouts makes of it."""

import re
from pathlib import Path
from uuid import UUID

import pytest

from tools.core.errors import UserError
from tools.gpt.discoverable import DISCOVERABLE
from tools.gpt.disk import place
from tools.gpt.layout import parse_layout
from tools.gpt.types import TYPES

PAGE = (Path(__file__).parent / "partitions.md").read_text()
ROWS = [re.findall(r"(?<=\|) (.*?) (?=\|)", line) for line in PAGE.splitlines() if line.startswith("| ")]


def rows_of(header):
    """Returns the rows of the table with a header, as its cells' texts."""
    return ROWS[ROWS.index(header) + 1 :]


def errors():
    """Returns the layouts that the page shows errors of, and their messages."""
    cells = [row for row in ROWS if len(row) == 2 and row[1].startswith("`partitions.csv:")]
    return [("\n".join(re.findall("`(.*?)`", rows)), message.strip("`")) for rows, message in cells]


def test_example():
    example = re.search("```csv\n(.*?)```", PAGE, re.DOTALL)[1]
    table = place(parse_layout(example, "partitions.csv"), 8 << 30, UUID(int=1))
    shown = rows_of(["number", "name", "first byte", "size in bytes"])[: len(table.entries)]
    assert shown == [[str(e.number), e.name, str(e.offset), str(e.size)] for e in table.entries]


def test_types():
    shown = rows_of(["shortcut", "alias", "GUID"])[: len(TYPES) // 2]
    named = {name.strip("`"): UUID(guid) for *names, guid in shown for name in names}
    assert named == TYPES


@pytest.mark.parametrize(("layout", "message"), errors())
def test_errors(layout, message):
    with pytest.raises(UserError) as error:
        parse_layout(layout, "partitions.csv")
    assert str(error.value) == message


def test_all_errors_are_tried():
    assert len(errors()) == PAGE.count("`partitions.csv:") == 10


def test_discoverable_types():
    paragraph = PAGE.partition("Names of the [Discoverable")[2].partition("## ")[0]
    plain, kinds, architectures = re.search(r"- (.*?)\n- (.*?) ARCH is (.*?)\.", paragraph, re.DOTALL).groups()
    systems = re.findall("`(root|usr)-ARCH`", kinds)
    suffixes = ["", *(word for word in re.findall("`(.*?)`", kinds) if word.startswith("-"))]
    names = {
        f"{kind}-{architecture}{suffix}"
        for kind in systems
        for architecture in re.findall("`(.*?)`", architectures)
        for suffix in suffixes
    }
    assert names | set(re.findall("`(.*?)`", plain)) == DISCOVERABLE.keys()
