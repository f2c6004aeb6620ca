import re
import subprocess
from pathlib import Path

import pytest

from tools.completion.bash_completion import Arguments, main
from tools.core.cli import call

FOLDER = Path(__file__).parent


@pytest.fixture
def completion(tmp_path):
    path = tmp_path / "completion.bash"
    flags = ["image_diff", "image_ls", f"--output={path}"]
    assert call(main, Arguments, "", ["bash_completion", *flags]) == 0
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("image_ls --for", ["--format="]),
        ("bazel-bin/tools/commands/image_ls --format = ", ["long", "mtree", "paths"]),
        ("image_diff --", ["--help", "--json", "--left=", "--most=", "--partition=", "--right=", "--spec="]),
        ("image_diff disk.", ["disk.img"]),
    ],
)
def test_bash_completes_what_a_command_takes(completion, tmp_path, line, expected):
    (tmp_path / "disk.img").touch()
    program = """
    source "$1"
    read -ra COMP_WORDS <<<"$2"
    [[ $2 == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    _rules_icos_complete
    ((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(
        ["bash", "-c", program, "bash", completion, line], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.splitlines()) == expected


def test_unknown_command(capsys):
    assert call(main, Arguments, "", ["bash_completion", "image_list"]) == 2
    assert capsys.readouterr().err.startswith("error: image_list: there is no such command in tools/commands")


def test_every_command_is_completed():
    """The file that is built completes each command of the table, which is sorted."""
    table = (FOLDER.parent / "commands/command.bzl").read_text()
    declared = re.findall(r'^    "(\w+)": \[', table, re.MULTILINE)
    assert declared == sorted(declared)
    assert "image_ls" in declared
    built = (FOLDER / "completion.bash").read_text()
    (line,) = (line for line in built.splitlines() if line.startswith("complete "))
    assert line.split()[3:] == declared
