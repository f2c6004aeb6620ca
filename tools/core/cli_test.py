import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import pytest

from tools.core.cli import argument, call, parse
from tools.core.errors import UserError
from tools.core.json_spec import Size


@dataclass(frozen=True)
class Part:
    image: str
    offset: Size = 0


@dataclass(frozen=True, kw_only=True)
class Arguments:
    input: str = argument("what to read")
    level: int = argument("how hard to try", default=3)
    size: Size | None = argument("of the disk", default=None)
    format: Literal["gz", "zst"] = argument("of the output", default="zst")
    force: bool = argument("whether to go on", default=False)
    ratio: float = argument("of the two", default=0.5)
    journal: bool | None = argument("whether there is one", default=None)
    names: tuple[str, ...] = argument("what to take", default=())
    parts: tuple[Part, ...] = argument("what to place", default=())


def parsed(*words):
    return parse(Arguments, "Does it.", ["program", *words])


def test_flags():
    assert parsed("--input=x") == Arguments(input="x")
    assert parsed("--input", "x", "--level=-5", "--size=50G", "--force", "--names=a", "--names=b") == Arguments(
        input="x", level=-5, size=50 << 30, force=True, names=("a", "b")
    )
    assert parsed("--input=x", "--ratio=2", "--nojournal") == Arguments(input="x", ratio=2.0, journal=False)
    assert parsed("--input=5", "--noforce", '--parts=[{"image": "a.img", "offset": "1M"}]') == Arguments(
        input="5", parts=(Part("a.img", 1 << 20),)
    )


def test_spec_and_flags_over_it(tmp_path):
    (tmp_path / "x.json").write_text('{"input": "a", "level": 7, "names": ["n"], "size": "1K", "format": "gz"}')
    spec = f"--spec={tmp_path}/x.json"
    expected = Arguments(input="a", level=7, names=("n",), size=1024, format="gz")
    assert parsed(spec) == expected
    assert parsed("--level=9", spec, "--input=b").level == 9


def test_params_file(tmp_path):
    (tmp_path / "params").write_text("--input=a b'\"$\n--names\n#x\n")
    assert parsed(f"@{tmp_path}/params", "--level=1") == Arguments(input="a b'\"$", level=1, names=("#x",))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], r"--input: is missing"),
        (["--input=x", "--levle=3"], r"Unknown command line flag 'levle'\. Did you mean: level"),
        (["--input=x", "--level=high"], r"--level: must be a whole number, not 'high'"),
        (["--input=x", "--level=1.5"], r"--level: must be a whole number, not 1\.5"),
        (["--input=x", "--size=5X"], r'--size: must be a size in bytes such as 1048576 or 1M, not "5X"'),
        (["--input=x", "--size=-1"], r"--size: must be a size"),
        (["--input=x", "--format=xz"], r'--format: must be one of gz, zst, not "xz"'),
        (["--input=x", "--parts=[{]"], r"--parts: must be JSON, not '\[\{\]'"),
        (["--input=x", '--parts=[{"offset": 0}]'], r"--parts\[0\]\.image: is missing"),
        (["--input=x", "--ratio=x"], r"--ratio: must be a number, not 'x'"),
        (["--input=x", "extra"], r"'extra' is not a flag"),
        (["--input"], r"input"),
        (["@none"], r"none: cannot be read as a file of arguments"),
        (["--spec=none.json"], r"none\.json: cannot be read: No such file"),
    ],
)
def test_what_is_wrong_with_flags_is_named(words, message):
    with pytest.raises(UserError, match=message):
        parsed(*words)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("{}", [], r"x\.json: input: is missing"),
        ('{"input": 3}', [], r"x\.json: input: must be a string, not 3"),
        ('{"inptu": "3"}', [], r"x\.json: inptu: is not known here; did you mean input\?"),
        ('{"input": "x"}', ["--level=x"], r"--level: must be a whole number"),
    ],
)
def test_what_is_wrong_with_a_spec_is_named(tmp_path, text, words, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=message):
        parsed(f"--spec={tmp_path}/x.json", *words)


def test_help_describes_every_argument(capsys):
    assert parsed("--help") is None
    shown = capsys.readouterr().out
    for line in (
        "Does it.",
        "--input=TEXT",
        "what to read (required)",
        "--level=NUMBER",
        "how hard to try (default: 3)",
        "--size=SIZE",
        "--format=gz|zst",
        "--force\n",
        "what to take (may be repeated)",
        "--parts=JSON",
        "--spec=FILE",
    ):
        assert line in shown


def outcome(error):
    def main(_arguments):
        if error:
            raise error

    return call(main, Arguments, "", ["program", "--input=x"])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (None, 0, ""),
        (UserError("x.csv:3: overlaps\nthe line above"), 1, "error: x.csv:3: overlaps the line above\n"),
        (OSError(28, "No space left on device", "/out"), 1, "error: /out: No space left on device\n"),
        (OSError(28, "No space left on device"), 1, "error: No space left on device\n"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_one_line(capsys, error, code, line):
    assert outcome(error) == code
    assert capsys.readouterr().err == line


def test_mistakes_of_the_program_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        outcome(ZeroDivisionError())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_program_leaves_nothing(tmp_path, number, code):
    program = f"""
import os, signal
from dataclasses import dataclass
from tools.core.cli import argument, run
from tools.core.outputs import replacing

@dataclass
class Arguments:
    output: str = argument("output")

def main(arguments):
    with replacing(arguments.output):
        os.kill(os.getpid(), {int(number)})
        signal.pause()

run(main, Arguments, None)
"""
    command = [sys.executable, "-c", program, f"--output={tmp_path}/out"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (code, b"")
    assert os.listdir(tmp_path) == []
