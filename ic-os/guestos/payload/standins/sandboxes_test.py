"""Tests of the sandboxes: the programs, and the replica's side."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest

from sample_node import wait_for, write_sandboxes
from standins import sandboxes
from standins.sandboxes import LAUNCHER, SANDBOX, Sandboxes


@pytest.fixture
def programs(tmp_path):
    folder = tmp_path / "bin"
    folder.mkdir()
    write_sandboxes(folder)
    return folder


@pytest.fixture
def state(tmp_path):
    folder = tmp_path / "ic_state"
    folder.mkdir()
    return folder


@pytest.fixture
def started(programs, state):
    result = Sandboxes(programs, state)
    yield result
    for process in filter(None, (result._sandbox, result._launcher)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    if result._launcher:
        os.waitpid(result._launcher, 0)
    for each in result._sockets:
        each.close()


def test_a_sandbox_uses_what_the_replica_passes_to_it(started, programs, state):
    assert started.problems() == []
    processes = started._launcher, started._sandbox
    assert started.problems() == []
    assert (started._launcher, started._sandbox) == processes, "they are started once"
    for process, name in zip(processes, (LAUNCHER, SANDBOX), strict=True):
        with open(f"/proc/{process}/cmdline", "rb") as file:
            assert file.read().split(b"\0") == [os.fsencode(programs / name), b"--embedder-config", b"{}", b""]
        assert os.readlink(f"/proc/{process}/exe") == str(programs / name), "there is no interpreter"
        assert os.getpgid(process) == os.getpgrp()
    assert list((state / "page_deltas").iterdir()) == list((state / "tmp").iterdir()) == []


def test_they_end_with_the_replica(started):
    assert started.problems() == []
    for each in started._sockets:
        each.close()
    assert os.waitpid(started._launcher, 0)[1] == 0
    sandbox, started._launcher, started._sandbox = started._sandbox, 0, 0
    wait_for(lambda: not os.path.exists(f"/proc/{sandbox}"), "the end of the sandbox")


def test_a_sandbox_that_has_ended_is_a_problem(started):
    assert started.problems() == []
    sandbox = started._sandbox
    os.kill(sandbox, signal.SIGKILL)
    wait_for(lambda: started.problems() != [], "the end of the sandbox")
    # The launcher waits for nobody, and leaves no zombie.
    wait_for(lambda: not os.path.exists(f"/proc/{sandbox}"), "the end of the process")
    assert started.problems() == [f"/proc/{sandbox}/status: No such file or directory"]


@pytest.mark.parametrize(
    ("name", "problem"), [(LAUNCHER, "{}: No such file or directory"), (SANDBOX, f"{SANDBOX}: has ended")]
)
def test_a_missing_program_is_named(started, programs, name, problem):
    (programs / name).unlink()
    assert started.problems() == [problem.format(programs / name)]


def test_a_folder_that_is_missing_is_named(started, state):
    state.rmdir()
    assert started.problems() == [f"{state}/page_deltas: No such file or directory"]


@pytest.mark.parametrize("number", range(4))
def test_a_file_that_a_sandbox_cannot_map_is_a_problem(started, monkeypatch, state, number):
    files = started._files

    def others(stack):
        found = files(stack)
        # A descriptor that was opened for something else takes the place of the right one.
        os.dup2(os.open("/", os.O_RDONLY | os.O_PATH), found[number])
        return found

    monkeypatch.setattr(started, "_files", others)
    assert started.problems() == [f"{SANDBOX}: {sandboxes._STEPS[1 + number]}: Bad file descriptor"]


def test_what_a_sandbox_leaves_unmapped_is_missed(started):
    assert started.problems() == []
    for missing, name in (("memory of the canister", "memfd:"), ("shared memory", "x.mem (deleted)")):
        text = f"7f00-7f01 rw-s 0 00:01 9   /{name}\nSize:  4 kB\nRss:  4 kB\n7f02-7f03 r--p 0 00:00 0\nRss:  8 kB\n"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandboxes.Path, "read_text", lambda self, text=text: f"\nRssAnon: 1 kB\n{text}")
            assert started.problems() == [f"/proc/{started._sandbox}/smaps: has no {missing}"]


@pytest.mark.parametrize("name", [LAUNCHER, SANDBOX])
@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["--config", "{}"], ["--embedder-config"], ["--embedder-config", "{}", "x"]]
)
def test_other_flags_end_it(programs, name, arguments):
    result = subprocess.run([programs / name, *arguments], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("stand-in of the reference payload; not a program of the Internet Computer")


def test_a_sandbox_needs_executable_memory(programs):
    """MemoryDenyWriteExecute= of a service is a filter of system calls, such as this one of prctl(2)."""
    ours, theirs = socket.socketpair()
    code = (
        "import ctypes, os, sys\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.prctl(65, 1, 0, 0, 0): sys.exit(99)\n"  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
        f"os.dup2({theirs.fileno()}, 3)\n"
        f"os.execv({str(programs / SANDBOX)!r}, ['x', '--embedder-config', '{{}}'])\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
    theirs.close()
    with ours:
        ours.settimeout(60)
        files = [os.memfd_create("x") for _ in range(4)]
        for file in files:
            os.ftruncate(file, 4096)
            os.write(file, b"\xb8\0\0\0\0\xc3")
        socket.send_fds(ours, [b"x"], files)
        for file in files:
            os.close(file)
        reply = ours.recv(16)
    if process.wait(60) == 99:
        pytest.skip("the kernel has no PR_SET_MDWE: Linux 6.3 is needed")
    step, error = struct.unpack("<qq", reply)
    assert (sandboxes._STEPS[step - 1], os.strerror(-error)) == ("making memory executable", "Permission denied")
