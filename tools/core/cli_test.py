import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

import pytest

from tools.core.cli import argument, call, parse
from tools.core.errors import CheckError, UserError
from tools.core.json_spec import FileName, Size


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


@pytest.mark.parametrize("name", ["a\u2028b", "a\u0085b", "a\fb"])
def test_a_line_of_a_params_file_ends_at_a_newline_only(tmp_path, name):
    (tmp_path / "params").write_text(f"--input\n{name}\n")
    assert parsed(f"@{tmp_path}/params").input == name


def test_params_file_with_an_object(tmp_path):
    (tmp_path / "params").write_text('{\n"input":\n"a\u2028b",\n"level":\n7\n}\n', encoding="utf-8")
    assert parsed(f"@{tmp_path}/params") == Arguments(input="a\u2028b", level=7)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('{\n"input":\n', r"^arguments:2: is not JSON: Expecting value"),
        ('{\n"input": "a",\n"input": "b"}', r"^arguments:3: input: is given twice"),
        ('{\n"input": "a",\n"levle": 7}', r"^levle: "),
        ('{\n"level": 7}', r"^input: "),
    ],
)
def test_what_is_wrong_with_an_object_is_named(tmp_path, lines, message):
    (tmp_path / "params").write_text(lines)
    with pytest.raises(UserError, match=message):
        parsed(f"@{tmp_path}/params")


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
        (["--input=x", "--level=" + "9" * 5000], r"--level: must be a whole number, not '9{80}'"),
        (["--input=x", "--parts=" + "[" * 100_000], r"--parts: must be JSON, not '\[{80}'"),
        (["--input=x", "--ratio=x"], r"--ratio: must be a number, not 'x'"),
        (["--input=x", "extra"], r"'extra': is one argument too many; --help shows"),
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
        (UserError("x.csv:3: overlaps\nthe line above"), 2, "error: x.csv:3: overlaps the line above\n"),
        (OSError(28, "No space left on device", "/out"), 2, "error: /out: No space left on device\n"),
        (OSError(28, "No space left on device"), 2, "error: No space left on device\n"),
        (
            MemoryError(),
            2,
            "error: there is not enough memory for this input; use a machine with more, or a smaller input\n",
        ),
        (UserError("\x1b[2J\u202e: no"), 2, "error: \\x1b[2J\\u202e: no\n"),
        (CheckError("2 of 3 checks failed"), 1, "error: 2 of 3 checks failed\n"),
        (CheckError(""), 1, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_are_one_line(capsys, error, code, line):
    assert outcome(error) == code
    assert capsys.readouterr().err == line


def test_mistakes_of_the_program_are_not_hidden():
    with pytest.raises(ZeroDivisionError):
        outcome(ZeroDivisionError())


@dataclass(frozen=True, kw_only=True)
class Words:
    left: FileName = argument("one file", positional=True)
    right: FileName | None = argument("the other file", default=None, positional=True)
    names: tuple[FileName, ...] = argument("more files", default=(), positional=True)
    pairs: dict[str, tuple[FileName, ...]] | None = argument("pairs of files", default=None)
    programs: dict[str, FileName] | None = argument("programs", default=None)
    text: str = argument("no file", default="")
    force: bool = argument("whether to go on", default=False)


def words(*given, started_in=""):
    return parse(Words, "Compares.", ["/bin/words.py", *given], started_in)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a"], Words(left="a")),
        (["a", "b", "c", "d"], Words(left="a", right="b", names=("c", "d"))),
        (["a", "--force", "b"], Words(left="a", right="b", force=True)),
        (["a", "--", "--b"], Words(left="a", right="--b")),
        (["b", "--left=a"], Words(left="a", right="b")),
        (["--left=a", "--right=b", "--names=c"], Words(left="a", right="b", names=("c",))),
    ],
)
def test_positional_arguments(given, expected):
    assert words(*given) == expected


def test_positional_argument_overrides_the_spec(tmp_path):
    (tmp_path / "x.json").write_text('{"left": "a", "right": "b"}')
    assert words(f"--spec={tmp_path}/x.json", "c") == Words(left="c", right="b")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"^LEFT: is missing; --help shows"),
        (["a", "b", "c", "--names=d"], r"^'c': is one argument too many"),
        (["a", "--programs=ruff"], r"^--programs: must be NAME=FILE, not 'ruff'"),
    ],
)
def test_what_is_wrong_with_positional_arguments_is_named(given, message):
    with pytest.raises(UserError, match=message):
        words(*given)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_positional_arguments(capsys, flag):
    assert words(flag) is None
    shown = capsys.readouterr().out
    assert "\nusage: words [FLAGS] LEFT [RIGHT] [NAMES...]\n" in shown
    assert "  LEFT, --left=FILE\n      one file (required)\n" in shown
    assert "  [NAMES...], --names=FILE\n" in shown


def test_paths_of_runfiles_and_of_the_workspace(monkeypatch):
    monkeypatch.setenv("BUILD_WORKSPACE_DIRECTORY", "/checkout")
    given = ["runfile:../r/a", "workspace:b", "c", "--text=runfile:x", '--pairs={"p": ["runfile:d", "/e"]}']
    assert words(*given, started_in="/start/_main") == Words(
        left="/start/_main/../r/a",
        right="/checkout/b",
        names=("c",),
        text="runfile:x",
        pairs={"p": ("/start/_main/d", "/e")},
    )
    assert words("a", "--programs=x=runfile:y", "--programs=z=/z=", started_in="/start") == Words(
        left="a", programs={"x": "/start/y", "z": "/z="}
    )
    assert words("runfile:a") == Words(left="a")
    monkeypatch.delenv("BUILD_WORKSPACE_DIRECTORY")
    with pytest.raises(UserError, match=r"workspace:b: there is no workspace; start the command by `bazel run`"):
        words("workspace:b")


def run_program(lines, *flags, **options):
    """Runs a program in a new process; `lines` are the body of its `main`."""
    program = f"""
import os, signal, subprocess, sys
from dataclasses import dataclass
from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.core.outputs import replacing, write_all

@dataclass
class Arguments:
    output: FileName = argument("output")
    input: FileName | None = argument("input", default=None)

def main(arguments):
{lines}

run(main, Arguments, None)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment.pop("BUILD_WORKING_DIRECTORY", None)  # of `bazel run` of this test
    environment |= options.pop("environment", {})
    command = [sys.executable, "-c", program, *flags]
    return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=60, **options)


_COPY = """
    with open(arguments.input, "rb") as source, replacing(arguments.output) as fd:
        write_all(fd, source.read())
        subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('BUILD_WORKING_DIRECTORY'))"])
"""


def test_bazel_run_takes_relative_paths_from_where_the_user_stands(tmp_path):
    runfiles, caller = tmp_path / "runfiles", tmp_path / "caller"
    for folder in (runfiles, caller):
        folder.mkdir()
        (folder / "in").write_text(folder.name)
    (caller / "spec.json").write_text('{"input": "in"}')
    there = {"BUILD_WORKING_DIRECTORY": str(caller)}
    for flags, environment, folder, content in [
        (["--output=a", "--input=in"], there, caller, "caller"),
        (["--output=b", "--spec=spec.json"], there, caller, "caller"),
        (["--output=c", "--input=runfile:in"], there, caller, "runfiles"),
        (["--output=d", "--input=in"], {}, runfiles, "runfiles"),
    ]:
        done = run_program(_COPY, *flags, environment=environment, cwd=runfiles)
        assert (done.returncode, done.stderr, done.stdout) == (0, b"", b"None\n")
        assert (folder / flags[0][-1]).read_text() == content


def test_folder_that_is_gone_is_an_error_of_one_line(tmp_path):
    done = run_program(_COPY, "--output=a", environment={"BUILD_WORKING_DIRECTORY": f"{tmp_path}/gone"})
    assert (done.returncode, done.stderr.decode()) == (2, f"error: {tmp_path}/gone: No such file or directory\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_interrupted_program_leaves_nothing(tmp_path, number, code):
    lines = f"""
    with replacing(arguments.output):
        os.kill(os.getpid(), {int(number)})
        signal.pause()
"""
    done = run_program(lines, f"--output={tmp_path}/out")
    assert (done.returncode, done.stderr) == (code, b"")
    assert os.listdir(tmp_path) == []
