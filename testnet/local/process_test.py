import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from testnet.local import process
from testnet.local.waiting import wait_for
from tools.core.errors import UserError

SECONDS = 30


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "it.pid"
    yield path
    process.end(path, 0)


def sleeper(ready):
    ready()
    signal.pause()


def start(file, run=sleeper):
    process.start(file, file.with_suffix(".log"), file.parent, run)


def test_a_process_is_found_and_ended(file):
    assert process.find(file) is None
    start(file)
    pid = process.find(file)
    assert os.getsid(pid) != os.getsid(0)
    assert not process.wait_end(file, 0)
    assert process.end(file, SECONDS)
    assert (process.find(file), process.identify(pid), file.exists()) == (None, None, False)
    assert not process.end(file, SECONDS)
    assert process.wait_end(file, 0)


def test_it_goes_on_after_its_starter(file):
    code = (
        "import signal, sys, pathlib; from testnet.local import process\n"
        "def run(ready): ready(); signal.pause()\n"
        "file = pathlib.Path(sys.argv[1]); process.start(file, file.with_suffix('.log'), file.parent, run)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # The output is read to its end, which a process that kept it open would delay.
    subprocess.run(
        [sys.executable, "-c", code, file], env=environment, check=True, capture_output=True, timeout=SECONDS
    )
    assert process.find(file) is not None


def test_a_program_takes_its_place(file):
    start(file, lambda _ready: os.execv("/bin/sh", ["/bin/sh", "-c", "echo here; pwd; exec sleep 1000"]))
    log = file.with_suffix(".log")
    assert wait_for(lambda: log.read_text() == f"here\n{file.parent}\n", SECONDS)
    assert log.stat().st_mode & 0o777 == 0o600
    assert process.find(file) is not None


def test_a_program_that_is_missing_is_an_error(file):
    with pytest.raises(UserError, match=r"it\.log: the process cannot be started: .*No such file"):
        start(file, lambda _ready: os.execv("/nowhere/program", ["program"]))
    assert process.find(file) is None


def test_another_process_with_the_number_is_left_alone(file):
    other = subprocess.Popen(["sleep", "1000"])
    try:
        identity = process.identify(other.pid)
        for change in ({"started": identity.started - 1}, {"boot": "another"}):
            file.write_text(json.dumps(dataclasses.asdict(identity) | change))
            assert process.find(file) is None
            assert not process.end(file, 0)
            assert other.poll() is None
    finally:
        other.kill()
        other.wait()


@pytest.mark.parametrize("run", [sleeper, lambda _ready: os.execv("/bin/sleep", ["sleep", "1000"])])
def test_a_process_of_another_container_is_neither_found_nor_taken_for_ended(file, run):
    start(file, run)
    known = file.read_text()
    elsewhere = json.loads(known) | {"namespace": 1}
    file.write_text(json.dumps(elsewhere))
    for use in (process.find, lambda path: process.end(path, 0)):
        with pytest.raises(UserError, match=r"it\.pid: the process runs in another container; use the checkout that"):
            use(file)
    file.write_text(known)
    assert process.end(file, SECONDS)
    file.write_text(json.dumps(elsewhere))
    assert process.find(file) is None


@pytest.mark.parametrize("text", ["", "1", "{}", '{"pid": 1}', "[1, 2, 3]"])
def test_a_damaged_file_names_no_process(file, text):
    file.write_text(text)
    assert process.find(file) is None


def test_one_that_ignores_sigterm_is_killed(file):
    def run(ready):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ready()
        while True:
            signal.pause()

    start(file, run)
    started = time.monotonic()
    assert process.end(file, 0.2)
    assert time.monotonic() - started < SECONDS
    assert process.find(file) is None


def test_a_process_that_has_ended_counts_as_such_before_anybody_asks(file):
    child = subprocess.Popen(["true"])
    assert wait_for(lambda: process.identify(child.pid) is None, SECONDS)
    child.wait()
