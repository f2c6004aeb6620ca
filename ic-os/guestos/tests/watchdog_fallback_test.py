import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "rootfs/opt/ic/bin/watchdog-fallback.sh"


@pytest.fixture
def run(tmp_path):
    """Runs the script with programs that exit with given statuses; returns its output, and whether it used modprobe."""

    def run(*, device, modprobe=0, udevadm=0):
        path = tmp_path / "watchdog0"
        used = tmp_path / "used"
        # The driver may appear only while the script waits for udev.
        makes = f"touch {path};" if device else ""
        for name, text in {
            "udevadm": f"[ $1 = settle ] || exit 9; {makes} exit {udevadm}",
            "modprobe": f"echo $* >{used}; exit {modprobe}",
        }.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o755)
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
        done = subprocess.run([SCRIPT, path], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout, used.read_text().strip() if used.exists() else None

    return run


@pytest.mark.parametrize("udevadm", [0, 1])
def test_a_hardware_watchdog_is_left_alone(run, udevadm):
    assert run(device=True, udevadm=udevadm) == ("", None)


def test_without_one_the_software_watchdog_is_loaded(run):
    assert run(device=False) == ("no hardware watchdog: using the software watchdog\n", "softdog")


def test_a_kernel_without_any_is_reported(run):
    output, used = run(device=False, modprobe=1)
    assert output.startswith("<4>there is no watchdog")
    assert used == "softdog"
