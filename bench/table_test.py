"""The table of figures in README.md has the rows that `bazel run //bench:table` measures, with their commands."""

import re
from pathlib import Path

import pytest

from bench import table
from tools.core.errors import UserError

README = Path(__file__).parents[1] / "README.md"


def readme_rows():
    text = README.read_text().partition("| feature | figure | command |\n|---|---|---|\n")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in text.splitlines()]


def test_rows_of_the_readme():
    shown = {feature: (figure, command) for feature, figure, command in readme_rows()}
    assert list(shown) == [row.feature for row in table.ROWS]
    for row in table.ROWS:
        figure, command = shown[row.feature]
        assert command == f"`{row.command}`"
        pattern = re.sub(r"\\\{\d\\\}", r"[0-9.]+", re.escape(row.figure))
        # What it was measured on may follow in parentheses.
        assert re.fullmatch(rf"{pattern}( \([^)]+\))?", figure), f"{figure!r} is not {row.figure!r}"


def test_a_row_is_measured(tmp_path):
    row = table.Row("one", "{1} s, and {0} s", "echo", r"(\d) first\n.*(\d) second", " '1 first\n2 second'")
    assert table.measured(row, tmp_path) == "| one | 2 s, and 1 s | `echo` |"


@pytest.mark.parametrize("command", ["false", "echo 1"])
def test_errors_name_the_command(tmp_path, command):
    with pytest.raises(UserError, match=f"^{command}: "):
        table.measured(table.Row("one", "{0}", command, "no such figure"), tmp_path)


def test_unknown_feature():
    assert table.chosen(["holes", "caches"]) == [table.ROWS[2], table.ROWS[4]]
    with pytest.raises(UserError, match="is in none of"):
        table.chosen(["unknown"])
