"""The volumes of the store, by the guest's shell scripts with fake programs of LVM and of the file systems.

The fake programs keep their state in files and record how they were called. Boot tests use the real ones.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOTFS = Path(__file__).parent.parent / "rootfs"
MONITOR = ROOTFS / "opt/ic/bin/monitor-expand-shared-data.sh"
STORE = ROOTFS / "opt/ic/lib/store.sh"

MIB = 1 << 20
GIB = 1 << 30
EXTENT = 4 * MIB

_FAKE = """#!/bin/sh
set -eu
cd {state}
name=${{0##*/}}
echo "$name $*" >>calls
for last; do :; done
case $name in
    vgs) case "$*" in *vg_size*) echo "  $(cat vg_size)" ;; *) echo "  $(cat vg_free)" ;; esac ;;
    lvcreate | lvextend)
        while [ "$1" != --size ]; do shift; done
        bytes=${{2#+}} bytes=${{bytes%b}}
        free=$(($(cat vg_free) - (bytes + {extent} - 1) / {extent} * {extent}))
        [ $free -ge 0 ] || {{ echo "insufficient free space" >&2; exit 5; }}
        echo $free >vg_free
        echo $(($(cat volume) + bytes)) >volume
        ;;
    df) size=$(cat size); echo "1B-blocks Avail"; echo "$size $((size - $(cat used)))" ;;
    findmnt) cat type ;;
    xfs_growfs | resize2fs) cp volume size ;;
    *) ;;
esac
[ ! -e "fail-$name" ] || exit 1
"""
_PROGRAMS = [
    "vgs",
    "pvcreate",
    "vgcreate",
    "lvcreate",
    "lvextend",
    "df",
    "findmnt",
    "xfs_growfs",
    "resize2fs",
    "mkfs.ext4",
    "mkfs.xfs",
]


class Machine:
    """Fake programs and their state."""

    def __init__(self, folder):
        self._bin = folder / "bin"
        self._state = folder / "state"
        self._bin.mkdir()
        self._state.mkdir()
        self["calls"] = ""
        for name in _PROGRAMS:
            program = self._bin / name
            program.write_text(_FAKE.format(state=self._state, extent=EXTENT))
            program.chmod(0o755)

    def __setitem__(self, name, value):
        (self._state / name).write_text(f"{value}\n" if value != "" else "")

    def __getitem__(self, name):
        return int((self._state / name).read_text())

    @property
    def calls(self):
        return (self._state / "calls").read_text().splitlines()

    def run(self, *command):
        path = f"{self._bin}:{os.environ.get('PATH', os.defpath)}"
        environment = {"PATH": path, "RUNTIME_DIRECTORY": str(self._state)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.fixture
def filling(machine):
    """A machine with a data volume of 10 GiB, of which 9 GiB are used, and 100 GiB that are free."""
    for name, value in {"size": 10 * GIB, "volume": 10 * GIB, "used": 9 * GIB, "vg_size": 200 * GIB}.items():
        machine[name] = value
    machine["vg_free"] = 100 * GIB
    machine["type"] = "xfs"
    return machine


def grown(machine):
    result = machine.run(MONITOR)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def test_extends_the_volume_by_a_tenth_of_the_group(filling):
    assert grown(filling) == (
        "<5>extended /var/lib/ic/data by 20480 MiB; 81920 MiB are left in the volume group store\n"
    )
    assert (filling["size"], filling["vg_free"]) == (30 * GIB, 80 * GIB)


def test_a_volume_with_space_is_left_alone(filling):
    filling["used"] = 8 * GIB
    assert grown(filling) == ""
    assert [call.split()[0] for call in filling.calls] == ["df"]


@pytest.mark.parametrize(
    ("group", "step"),
    [(2 * GIB, GIB), (100 * GIB, 10 * GIB), (8000 * GIB, 256 * GIB)],
)
def test_steps_have_bounds(filling, group, step):
    filling["vg_size"] = group
    filling["vg_free"] = 1000 * GIB
    filling["used"] = 8 * GIB + 1
    grown(filling)
    assert filling["size"] == 10 * GIB + step


def test_extends_until_enough_is_free(filling):
    filling["vg_size"] = 20 * GIB
    assert grown(filling).count("<5>extended") == 1
    filling["used"] = 14 * GIB
    assert grown(filling).count("<5>extended") == 3
    assert filling["size"] == 18 * GIB


def test_the_last_step_takes_what_is_left_and_a_full_group_is_reported_once(filling):
    filling["vg_free"] = 3 * EXTENT
    output = grown(filling).splitlines()
    assert output == [
        "<5>extended /var/lib/ic/data by 12 MiB; 0 MiB are left in the volume group store",
        "<4>/var/lib/ic/data is nearly full, and the volume group store has no space left",
    ]
    assert (filling["size"], filling["vg_free"]) == (10 * GIB + 3 * EXTENT, 0)
    assert grown(filling) == ""


def test_a_file_system_behind_its_volume_is_extended_first(filling):
    """So it is after a power cut between the two steps."""
    filling["volume"] = 20 * GIB
    assert grown(filling) == ""
    assert (filling["size"], filling["vg_free"]) == (20 * GIB, 100 * GIB)


def test_ext4_of_an_older_version_stays_and_grows(filling):
    filling["type"] = "ext4"
    grown(filling)
    names = {call.split()[0] for call in filling.calls}
    assert "resize2fs /dev/store/shared-data" in filling.calls
    assert not {"xfs_growfs", "mkfs.xfs", "mkfs.ext4"} & names


def test_another_file_system_is_an_error_and_changes_nothing(filling):
    filling["type"] = "btrfs"
    result = filling.run(MONITOR)
    assert result.returncode != 0
    assert "cannot extend a file system of type 'btrfs'" in result.stderr
    assert filling["vg_free"] == 100 * GIB


@pytest.mark.parametrize("program", ["df", "findmnt", "vgs", "lvextend", "xfs_growfs"])
def test_a_failure_of_a_program_is_not_hidden(filling, program):
    filling[f"fail-{program}"] = ""
    result = filling.run(MONITOR)
    assert result.returncode != 0
    assert "no space left" not in result.stdout
    assert "extended" not in result.stdout


def made(machine, group):
    """Returns the sizes of the volumes of a group by their names."""
    machine["vg_size"] = machine["vg_free"] = group
    machine["volume"] = 0
    result = machine.run("sh", "-eu", "-c", f". {STORE}; make_volumes /dev/mapper/store_crypt")
    assert (result.returncode, result.stderr) == (0, "")
    words = [call.split() for call in machine.calls if call.startswith("lvcreate")]
    return {call[call.index("--name") + 1]: int(call[call.index("--size") + 1].removesuffix("b")) for call in words}


@pytest.mark.parametrize(
    ("group", "backup", "data"),
    [
        (8 * GIB, 2 * GIB, 4 * GIB),
        (28 * GIB, 7 * GIB, 7 * GIB),
        (3000 * GIB, 180_000 * MIB, 750 * GIB),
        (4 * GIB, GIB, 2 * GIB),
    ],
)
def test_sizes_of_new_volumes(machine, group, backup, data):
    assert made(machine, group) == {"shared-crypto": GIB, "shared-backup": backup, "shared-data": data}


def test_file_systems_of_new_volumes(machine):
    made(machine, 28 * GIB)
    made_file_systems = [call for call in machine.calls if call.startswith("mkfs")]
    assert made_file_systems == [
        "mkfs.ext4 -q -F -L shared-crypto /dev/store/shared-crypto",
        "mkfs.ext4 -q -F -L shared-backup /dev/store/shared-backup",
        "mkfs.xfs -q -f -m crc=1,reflink=1 -L shared-data /dev/store/shared-data",
    ]


@pytest.mark.parametrize("program", ["vgs", "lvcreate", "mkfs.xfs"])
def test_a_store_that_cannot_be_made_is_an_error(machine, program):
    machine["vg_size"] = machine["vg_free"] = 28 * GIB
    machine["volume"] = 0
    machine[f"fail-{program}"] = ""
    assert machine.run("sh", "-eu", "-c", f". {STORE}; make_volumes /dev/mapper/store_crypt").returncode != 0
