import json
import os
import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os
import sys
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.worker import input_digest


@dataclass(frozen=True, kw_only=True)
class Arguments:
    say: str = argument("what to print", positional=True)
    fail: str = argument("how to fail", default="")
    digest_of: str | None = argument("a path", default=None)

def main(arguments):
    if arguments.digest_of is not None:
        print(input_digest(arguments.digest_of), flush=True)
    print(arguments.say, flush=True)
    os.write(1, b"by the system\\n")
    assert sys.stdin.read() == ""
    if arguments.fail == "user":
        raise UserError("x: is wrong")
    if arguments.fail == "defect":
        raise ValueError("a defect")

run(main, Arguments, "Says something.")
"""


@pytest.fixture
def start(tmp_path):
    """Starts a worker; it is killed at the end."""
    (tmp_path / "program.py").write_text(PROGRAM)
    started = []

    def start(*words):
        process = subprocess.Popen(
            [sys.executable, tmp_path / "program.py", *words, "--persistent_worker"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def ask(worker, *words, **more):
    worker.stdin.write(json.dumps({"arguments": words, "inputs": [], **more}) + "\n")
    worker.stdin.flush()
    return json.loads(worker.stdout.readline())


def answer(status, output):
    return {"exitCode": status, "output": output, "requestId": 0}


def test_each_request_has_its_own_status_and_output(start):
    worker = start()
    failed = "b\nby the system\nerror: x: is wrong\n"
    for _ in range(2):
        assert ask(worker, "a", requestId=0) == answer(0, "a\nby the system\n")
        assert sorted(ask(worker, "b", "--fail=user")["output"].splitlines()) == sorted(failed.splitlines())
        assert ask(worker, "--levle=3")["exitCode"] == 2
    assert ask(worker, "{", '"say":', '"ä"', "}")["output"] == "ä\nby the system\n"
    worker.stdin.close()
    assert worker.wait(30) == 0
    assert worker.stderr.read() == ""


def test_digests_are_those_of_the_request(start):
    worker = start()
    path = "bazel-out/k8-fastbuild/bin/x"
    words = ["a", f"--digest_of={path}"]
    for given, expected in (
        ([{"path": path, "digest": "one"}], "one"),
        ([{"path": "bazel-out/y", "digest": "two"}], "None"),
        ([{"path": path, "digest": "two"}], "two"),
        ([], "None"),
        ([{"path": path, "digest": ""}], "None"),
        ([{"path": path}, {"digest": "two"}, 7], "None"),
        ("x", "None"),
    ):
        assert ask(worker, *words, inputs=given)["output"].splitlines()[0] == expected
    assert ask(worker, "a", inputs=[{"path": path, "digest": "one"}])["exitCode"] == 0


def test_arguments_may_name_inputs_without_their_configuration(start):
    """As with --experimental_output_paths=strip, where the request has the paths with it."""
    worker = start()
    words = ["a", "--digest_of=bazel-out/cfg/bin/x"]
    first, second = ({"path": f"bazel-out/{name}/bin/x", "digest": name} for name in ("k8-fastbuild", "k8-opt"))
    for given, expected in (
        ([first], "k8-fastbuild"),
        ([second], "k8-opt"),
        ([first, second], "None"),
        ([first, second | {"digest": "k8-fastbuild"}], "k8-fastbuild"),
        ([first | {"path": "bazel-out/k8-fastbuild/bin/y"}], "None"),
        ([first | {"path": "bazel-out/cfg/bin/x"}, second], "k8-fastbuild"),
    ):
        assert ask(worker, *words, inputs=given)["output"].splitlines()[0] == expected


def test_source_files_have_no_digest(start):
    said = ask(start(), "a", "--digest_of=etc/x", inputs=[{"path": "etc/x", "digest": "one"}])
    assert said["output"].startswith("None\n")


def test_words_before_the_flag_come_first(start):
    assert ask(start("--fail=user"), "a")["exitCode"] == 2


def test_worker_ends_after_a_defect(start):
    worker = start()
    said = ask(worker, "a", "--fail=defect")
    assert said["exitCode"] == 1
    assert "Traceback" in said["output"]
    assert said["output"].endswith("ValueError: a defect\n")
    assert worker.wait(30) == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x\n", "is not a work request of Bazel in JSON: Expecting value"),
        ("[]\n", "it must be an object with a list of `arguments`"),
        ('{"arguments": [1]}\n', "it must be an object with a list of `arguments`"),
        ('{"arguments": ["a"], "requestId": 3}\n', "has the request ID 3; this worker does one request at a time"),
    ],
)
def test_what_is_no_request_is_an_error_of_one_line(start, line, message):
    out, err = start().communicate(line)
    assert out == ""
    assert err.startswith("error: standard input: ")
    assert message in err
    assert err.count("\n") == 1


def test_sigterm_ends_a_worker_that_waits(start):
    worker = start()
    assert ask(worker, "a")["exitCode"] == 0
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 128 + signal.SIGTERM


def test_a_command_without_the_flag_runs_once(tmp_path):
    (tmp_path / "words").write_text('{\n"say":\n"x"\n}\n')
    command = [sys.executable, tmp_path / "program.py", f"@{tmp_path}/words"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, input="")
    assert sorted(done.stdout.splitlines()) == ["by the system", "x"]
