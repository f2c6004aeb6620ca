"""Faults during the installation of an update.

The numbers in the names of tests are those of the faults in doc/Upgrade.adoc.
"""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fault_checks import BUSY, FAILED, REFUSED_STATE, check_bad, plain
from file_machine import SIZES, both_modes
from guestos import boot_state, partition, slots
from guestos.boot_state import FAILSAFE_CHECK, FIRST_BOOT, STABLE, BootState
from update_images import MIB

from tools.image.extents import Extent, Image, Pattern

pytestmark = both_modes


def test_10_memory_is_bounded(update, machine, tmp_path):
    """The peak memory of an installation, as the kernel measures it for the process and its children, is limited."""
    noise = Pattern(bytes(range(256)) * 5)
    os.truncate(machine.partition("B", "root"), 400 * MIB)
    large = update.but(root=Image(400 * MIB, [Extent(0, 390 * MIB, noise)]))
    for kind in ("tar", "gz", "zst"):
        path = large.write(tmp_path / "large", kind)
        program = (
            "import resource; from guestos.environment import Environment; "
            "from guestos.manageboot import main; "
            f"status = main(['upgrade-install', {str(path)!r}], Environment(**{plain(machine.environment)!r})); "
            "own = next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM:')); "
            "print(status, own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        folder = Path(boot_state.__file__).parents[1]
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True)
        *_, status, own, children = result.stdout.split()
        assert status == "0", result.stderr
        assert int(own) + int(children) < 64 << 10, kind


def test_18_no_temporary_space(machine, update, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    for kind in ("tar", "gz", "zst"):
        assert machine("upgrade-install", update.write(tmp_path / "x", kind)) == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("call", ["pwrite", "fsync", "punch"])
@pytest.mark.parametrize("after", [0, 2, 3])
def test_19_errors_of_the_disk(machine, update_tar, monkeypatch, capsys, number, call, after):
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        if len(calls) > after and not recovered:
            raise OSError(number, os.strerror(number))
        return real(*arguments)

    recovered = False
    owner, name = (partition, "punch_hole") if call == "punch" else (os, call)
    real = getattr(owner, name)
    monkeypatch.setattr(owner, name, fail)
    assert machine("upgrade-install", update_tar) == FAILED
    assert os.strerror(number) in capsys.readouterr().err
    recovered = True
    assert machine.read_state() == BootState("A", STABLE, "A")
    assert machine("upgrade-commit") == REFUSED_STATE
    assert machine("upgrade-install", update_tar) == 0


def test_20_a_write_that_is_lost(machine, update_tar, monkeypatch):
    """The disk loses one write without an error. Whichever it is, reading back detects it."""
    real = os.pwrite
    places = []

    def write(file, data, offset):
        places.append((os.readlink(f"/proc/self/fd/{file}"), offset))
        return len(data) if len(places) == lost else real(file, data, offset)

    monkeypatch.setattr(os, "pwrite", write)
    lost = 0
    assert machine("upgrade-install", update_tar) == 0
    every = list(places)
    for index, place in enumerate(every, 1):
        if "/dev/" not in place[0]:
            continue
        lost = index
        spoil(machine)
        places.clear()
        assert machine("upgrade-install", update_tar) == FAILED, place
        assert machine("upgrade-commit") == REFUSED_STATE
    assert lost > 6


def spoil(machine):
    """Fills slot B with other data, such as an earlier version leaves."""
    for name, size in SIZES.items():
        machine.partition("B", name).write_bytes(os.urandom(MIB) * (size // MIB))


def test_20_zeros_that_are_lost(machine, update_tar, monkeypatch, capsys):
    monkeypatch.setattr(partition, "punch_hole", lambda *arguments: None)
    assert machine("upgrade-install", update_tar) == FAILED
    assert "cannot be wiped" in capsys.readouterr().err
    assert machine("upgrade-commit") == REFUSED_STATE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_22_killed(machine, update, update_tar, tmp_path, number):
    """A signal ends an installation that has begun to write and waits for a stalled stream."""
    whole = update_tar.read_bytes()
    program = (
        "from guestos.environment import Environment; from guestos.manageboot import main; "
        f"main(['upgrade-install', '-'], Environment(**{plain(machine.environment)!r}))"
    )
    folder = Path(boot_state.__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PYTHONPATH": str(folder)},
    ) as process:
        process.stdin.write(whole[: len(whole) * 3 // 4])
        process.stdin.flush()
        deadline = time.monotonic() + 30
        while machine.slot("B") is None and time.monotonic() < deadline:
            os.sched_yield()
        assert machine("upgrade-install", update_tar) == BUSY, "two installations at once"
        process.send_signal(number)
        process.wait(30)
        process.stdin.close()
    assert machine.slot("B").state == slots.INSTALLING
    assert machine("upgrade-commit") == REFUSED_STATE
    check_bad(machine, update_tar)


def test_23_two_at_once(machine, refused, update_tar):
    descriptor = os.open(os.path.dirname(machine.environment.grubenv), os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        refused(BUSY, "another manageboot.sh is running", "upgrade-install", update_tar)
        refused(BUSY, "another manageboot.sh is running", "upgrade-commit")
        (machine.folder / "share/rollback-index.txt").write_text("7\n")
        assert machine("confirm") == 0, "the slot is confirmed already"
        assert not (machine.folder / "config/rollback-index.txt").exists(), "two would write the same new file"
    finally:
        os.close(descriptor)
    assert machine("confirm") == 0
    assert (machine.folder / "config/rollback-index.txt").read_text() == "7\n"


@pytest.mark.parametrize("name", ["boot", "root", "var"])
def test_24_target_in_use(machine, refused, update_tar, name):
    with open(machine.partition("B", name), "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        refused(BUSY, f"B_{name}: is locked by another program", "upgrade-install", update_tar)
    assert machine("upgrade-install", update_tar) == 0


@pytest.mark.parametrize("name", ["boot", "root", "var"])
def test_25_target_is_what_runs(machine, refused, update_tar, name):
    machine.partition("B", name).unlink()
    machine.partition("B", name).symlink_to(machine.partition("A", name))
    refused(REFUSED_STATE, f"A_{name}, which belongs to the slot that runs", "upgrade-install", update_tar)


def test_26_a_retry_is_a_full_installation(machine, update, update_tar):
    assert machine("upgrade-install", update_tar) == 0
    machine.partition("B", "root").write_bytes(bytes(12 * MIB))
    assert machine("upgrade-install", update_tar) == 0
    assert machine.holds("B", "root", update.images[1])


@pytest.mark.parametrize("cycle", [FIRST_BOOT, FAILSAFE_CHECK, "", "nonsense"])
@pytest.mark.parametrize("alternative", ["A", "B"])
def test_27_not_confirmed(machine, update_tar, capsys, cycle, alternative):
    machine.state(alternative, cycle, "A")
    before = machine.snapshot()
    assert machine("upgrade-install", update_tar) == REFUSED_STATE
    assert "an upgrade needs a confirmed system" in capsys.readouterr().err
    assert machine("upgrade-commit") == REFUSED_STATE
    assert machine.snapshot() == before


def test_files_keep_their_modes(machine, update_tar):
    machine("upgrade-install", update_tar)
    status = os.stat(machine.folder / "config/slots/B.json")
    assert stat.S_IMODE(status.st_mode) & 0o022 == 0
