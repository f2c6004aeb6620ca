import shlex
import subprocess
from dataclasses import dataclass
from typing import Literal

import pytest

from tools.core.cli import argument
from tools.core.json_spec import FileName
from tools.core.parameters import parameters
from tools.core.usage import bash_completion


@dataclass(frozen=True, kw_only=True)
class List:
    image: FileName = argument("an image", positional=True)
    format: Literal["long", "mtree", "paths"] = argument("of the output", default="long")
    force: bool = argument("whether to go on", default=False)
    count: int = argument("how many", default=1)


@dataclass(frozen=True, kw_only=True)
class Other:
    text: str = argument("some text")


@pytest.fixture
def complete(tmp_path):
    """Returns what bash offers after the words of a command line, the last of which is not complete."""
    script = tmp_path / "completion.bash"
    script.write_text(bash_completion({"list": parameters(List), "other": parameters(Other)}))
    (tmp_path / "disk.img").touch()
    (tmp_path / "disk of mine.img").touch()
    (tmp_path / "other.tar").touch()

    def offered(*words):
        program = f"""
        source {shlex.quote(str(script))}
        complete -p {shlex.quote(words[0].rpartition("/")[2])} >&2 || exit 3
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        _rules_icos_complete
        for word in "${{COMPREPLY[@]}}"; do printf '%s\\n' "$word"; done
        """
        done = subprocess.run(["bash", "-uc", program], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return sorted(done.stdout.splitlines())

    return offered


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["list", "--"], ["--count=", "--force", "--format=", "--help", "--image=", "--spec="]),
        (["bazel-bin/tools/commands/list", "--fo"], ["--force", "--format="]),
        (["list", "--force", "--c"], ["--count="]),
        (["list", "--format", "="], ["long", "mtree", "paths"]),
        (["list", "--format", "=", "m"], ["mtree"]),
        (["list", "--format", "p"], ["paths"]),
        (["list", "--image", "=", "di"], ["disk of mine.img", "disk.img"]),
        (["list", "o"], ["other.tar"]),
        (["list", "--force", "o"], ["other.tar"]),
        (["list", "--count", "=", ""], []),
        (["other", "--"], ["--help", "--spec=", "--text="]),
        (["other", "--text", "=", "o"], []),
    ],
)
def test_bash_completes(complete, words, expected):
    assert complete(*words) == expected
