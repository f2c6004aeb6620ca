"""The rollback floor in a TPM: what is written to it, and that it counts when the disk was changed."""

import contextlib
import struct
from dataclasses import replace

import pytest
from emulated_tpm import emulated_tpm, tpm_device
from fault_checks import FAILED, REFUSED_IMAGE
from guestos import rollback, tpm
from guestos.boot_state import FAILSAFE_CHECK
from guestos.errors import GuestError

from tools.testing.oracles import oracle

OWNER = 0x40000001
NV_DEFINE_SPACE, NV_WRITE, HIERARCHY_CHANGE_AUTH, CLEAR = 0x12A, 0x137, 0x129, 0x126
HIERARCHY_CONTROL = 0x121
LOCKOUT, PLATFORM = 0x4000000A, 0x4000000C
ATTRIBUTES = 1 << 1 | 1 << 18 | 1 << 25


class Chip:
    """A TPM, and the commands that came by its device.

    Attributes:
        device: path of the device.
        commands: the codes of the commands.
    """

    def __init__(self, send):
        self.send, self.commands, self.observe = send, [], lambda code: None

    def answer(self, command):
        code = int.from_bytes(command[6:10], "big")
        self.commands.append(code)
        self.observe(code)
        return self.send(command)

    def define(self, size, attributes=ATTRIBUTES, password=b""):
        """Defines the index, as something else would, with another size, or as a power cut leaves it."""
        public = struct.pack(">IHIHH", tpm.HANDLE, 0x000B, attributes, 0, size)
        secret = struct.pack(">H", len(password)) + password
        self.succeed(NV_DEFINE_SPACE, (OWNER,), secret + struct.pack(">H", len(public)) + public)

    def write(self, data):
        self.succeed(NV_WRITE, (OWNER, tpm.HANDLE), struct.pack(">H", len(data)) + data + bytes(2))

    def set_owner_password(self):
        self.succeed(HIERARCHY_CHANGE_AUTH, (OWNER,), struct.pack(">H6s", 6, b"secret"))

    def succeed(self, code, handles, parameters):
        assert self.send(tpm.command(code, handles, parameters))[6:10] == bytes(4)


@contextlib.contextmanager
def started(folder):
    """Starts the TPM of a folder."""
    with emulated_tpm(folder) as emulated:
        chip = Chip(emulated)
        with tpm_device(chip.answer) as chip.device:
            yield chip


@pytest.fixture
def chip(tmp_path):
    oracle("swtpm")
    with started(tmp_path / "chip") as chip:
        yield chip


@pytest.fixture
def machine(machine, chip):
    """A machine with a TPM, whose slot B runs and is on trial; its index is 7."""
    machine.environment = replace(machine.environment, tpm=chip.device)
    (machine.folder / "share/rollback-index.txt").write_text("7\n")
    machine.state("B", FAILSAFE_CHECK, "A")
    machine.runs("B")
    return machine


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr("guestos.journal.warn", found.append)
    return found


def test_the_number_outlives_the_power(tmp_path):
    oracle("swtpm")
    with started(tmp_path / "chip") as chip:
        assert tpm.read(chip.device) == 0
        tpm.keep(chip.device, 7)
        assert tpm.read(chip.device) == 7
    with started(tmp_path / "chip") as chip:
        assert tpm.read(chip.device) == 7


def test_the_number_is_never_lowered(chip):
    for number, kept in ((0, 0), (7, 7), (7, 7), (6, 7), (8, 8), (tpm.MOST, tpm.MOST), (0, tpm.MOST)):
        tpm.keep(chip.device, number)
        assert tpm.read(chip.device) == kept
    assert chip.commands.count(NV_DEFINE_SPACE) == 1
    assert chip.commands.count(NV_WRITE) == 3


def test_without_a_tpm_nothing_is_kept(tmp_path):
    tpm.keep(str(tmp_path / "nothing"), 7)
    assert tpm.read(str(tmp_path / "nothing")) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_power_cut_before_the_first_write(chip):
    chip.define(8)
    assert tpm.read(chip.device) == 0
    tpm.keep(chip.device, 7)
    assert tpm.read(chip.device) == 7


@pytest.mark.parametrize(
    ("size", "data", "message"),
    [
        (4, bytes(4), "belongs to something else"),
        (8, b"somebody", "has 0008736f6d65626f6479, which is not a number of ours"),
        (8, b"\0\0\0\1\0\0\0\0", "which is not a number of ours"),
    ],
)
def test_an_index_that_belongs_to_something_else_is_left_alone(chip, size, data, message):
    chip.define(size)
    chip.write(data)
    for action in (lambda: tpm.read(chip.device), lambda: tpm.keep(chip.device, 7)):
        with pytest.raises(GuestError, match=message):
            action()
    assert NV_WRITE not in chip.commands


@pytest.mark.parametrize(
    ("attributes", "password", "message"),
    [
        (1 << 1 | 1 << 17, b"", f"the index {tpm.HANDLE:#010x} belongs to something else: remove it"),
        (ATTRIBUTES, b"secret", f"its owner or the index {tpm.HANDLE:#010x} has a password: remove that password"),
    ],
)
def test_an_index_that_cannot_be_read(chip, attributes, password, message):
    chip.define(8, attributes, password)
    chip.write(bytes(8))
    for action in (lambda: tpm.read(chip.device), lambda: tpm.keep(chip.device, 7)):
        with pytest.raises(GuestError, match=message):
            action()
    assert NV_WRITE not in chip.commands


def test_an_owner_with_a_password(chip):
    tpm.keep(chip.device, 7)
    chip.set_owner_password()
    with pytest.raises(GuestError, match=r"refuses NV_Write with the code 0x0a2: its owner or .* has a password"):
        tpm.keep(chip.device, 8)
    assert tpm.read(chip.device) == 7


def test_a_hierarchy_that_the_firmware_has_disabled_hides_the_number(tmp_path):
    oracle("swtpm")
    with started(tmp_path / "chip") as chip:
        tpm.keep(chip.device, 7)
        chip.succeed(HIERARCHY_CONTROL, (PLATFORM,), struct.pack(">IB", OWNER, 0))
        assert tpm.read(chip.device) == 0
        with pytest.raises(GuestError, match="code 0x085: the firmware has disabled the owner's hierarchy"):
            tpm.keep(chip.device, 8)
    with started(tmp_path / "chip") as chip:
        assert tpm.read(chip.device) == 7


def test_a_cleared_tpm_keeps_nothing(chip):
    tpm.keep(chip.device, 7)
    chip.succeed(CLEAR, (LOCKOUT,), b"")
    assert tpm.read(chip.device) == 0


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("80010000000a00000101", "refuses NV_Read with the code 0x101: it has failed"),
        ("80010000000a00000920", "refuses NV_Read with the code 0x920: it limits how often"),
        ("80010000000a00000922", "refuses NV_Read with the code 0x922"),
        ("80010000000b00000000", "which is no response"),
        ("80010000000a00000000", "which is no response"),
        ("8001", "which is no response"),
        ("80020000000e00000000000000ff", "which is no response"),
        ("800200000015000000000000000200040000010000", "has 0004, which is not a number of ours"),
    ],
)
def test_other_responses_are_errors(answer, message):
    with tpm_device(lambda command: bytes.fromhex(answer)) as device, pytest.raises(GuestError, match=message):
        tpm.read(device)


def test_a_device_that_says_nothing(tmp_path):
    (tmp_path / "tpm").touch()
    with pytest.raises(GuestError, match="answers NV_Read by nothing"):
        tpm.read(str(tmp_path / "tpm"))
    with pytest.raises(GuestError, match="the TPM cannot be used: Is a directory"):
        tpm.read(str(tmp_path))


def test_46_confirm_raises_both_floors_after_the_boot_state(machine, chip):
    states = []
    chip.observe = lambda code: states.append(machine.read_state().confirmed)
    assert machine("confirm") == 0
    assert (machine.folder / "config/rollback-index.txt").read_text() == "7\n"
    assert tpm.read(chip.device) == 7
    assert set(states) == {"B"}


def test_46_a_system_on_trial_leaves_the_floors(machine, chip):
    assert machine("status") == 0
    assert machine("end-trial") == 0
    assert tpm.read(chip.device) == 0


def test_46_without_its_file_the_floor_of_the_tpm_counts(machine, chip, update, tmp_path, capsys):
    assert machine("confirm") == 0
    (machine.folder / "config/rollback-index.txt").unlink()
    (machine.folder / "share/rollback-index.txt").write_text("5\n")
    older = update.but(version="9.9.9", rollback_index=6).write(tmp_path / "older")
    assert machine("upgrade-install", older) == REFUSED_IMAGE
    assert "the update has the rollback index 6, and this machine takes none below 7" in capsys.readouterr().err
    assert machine("upgrade-install", update.but(rollback_index=7).write(tmp_path / "same")) == 0


def test_46_with_another_tpm_the_floor_of_the_file_counts(machine, tmp_path):
    assert machine("confirm") == 0
    with started(tmp_path / "other") as other:
        machine.environment = replace(machine.environment, tpm=other.device)
        assert rollback.floor(machine.environment) == 7
        assert NV_WRITE not in other.commands
        assert machine("confirm") == 0
        assert tpm.read(other.device) == 7


def test_46_the_floors_of_a_new_machine_are_kept_when_its_slot_is_confirmed(machine, chip):
    """Its disk image has a confirmed slot, and no floors."""
    machine.state("B", "stable", "B")
    before = machine.read_state()
    assert machine("confirm") == 0
    assert (machine.folder / "config/rollback-index.txt").read_text() == "7\n"
    assert tpm.read(chip.device) == 7
    assert machine.read_state() == before
    commands = len(chip.commands)
    assert machine("confirm") == 0
    assert chip.commands[commands:] == [0x14E]


def test_46_a_tpm_that_fails_does_not_hinder_confirm(machine, chip, warnings):
    """What it could not write it writes at the next one."""
    good, chip.send = chip.send, lambda command: bytes.fromhex("80010000000a00000101")
    assert machine("confirm") == 0
    assert machine.read_state().is_confirmed("B")
    assert (machine.folder / "config/rollback-index.txt").read_text() == "7\n"
    (warning,) = warnings
    assert warning.startswith("slot B is confirmed, but its rollback floor cannot be kept: ")
    chip.send = good
    assert machine("confirm") == 0
    assert tpm.read(chip.device) == 7
    assert len(warnings) == 1


@pytest.mark.parametrize("damage", [lambda path: path.mkdir(), lambda path: path.write_text("seven\n")])
def test_46_a_config_store_that_fails_does_not_hinder_the_tpm(machine, chip, warnings, damage):
    damage(machine.folder / "config/rollback-index.txt")
    assert machine("confirm") == 0
    assert tpm.read(chip.device) == 7
    (warning,) = warnings
    assert f"{machine.folder}/config/rollback-index.txt: " in warning


def test_46_a_tpm_that_fails_is_not_taken_for_none(machine, chip, update_tar, capsys):
    machine.state("B", "stable", "B")
    chip.send = lambda command: bytes.fromhex("80010000000a00000101")
    assert machine("upgrade-install", update_tar) == FAILED
    assert "the TPM refuses NV_Read" in capsys.readouterr().err
