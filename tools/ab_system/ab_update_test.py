"""The update program and the boot loader's rule, with the power cut at every write; and what GRUB's tools say."""

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from tools.ab_system import ab_update
from tools.ab_system.ab_update import RefusedError, State, System, confirm, install, main, revert, run
from tools.testing.oracles import ask

FOLDER = Path(__file__).parent
PIECE = 1000


class PowerCutError(Exception):
    """The power is cut."""


@dataclass(frozen=True)
class Machine(System):
    """A machine in a directory: partitions are files; the power is cut at the write that `fuse` counts down to."""

    slots: Path = Path()
    fuse: list[int] = field(default_factory=list)
    reboots: list[str] = field(default_factory=list)
    services: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    clock: list[float] = field(default_factory=lambda: [100.0])

    @contextmanager
    def state_file(self):
        with open(self.slots, "r+b") as file:
            yield file

    def put_state(self, state):
        self.burn()
        super().put_state(state)
        self.burn()

    def burn(self):
        if self.fuse:
            self.fuse[0] -= 1
            if not self.fuse[0]:
                raise PowerCutError

    def unit(self, name):
        """Takes the next of a unit's states; the last one stays."""
        states = self.services[name]
        return states.pop(0) if len(states) > 1 else states[0]

    def now(self):
        return self.clock[0]

    def wait(self, seconds):
        assert seconds > 0
        self.clock[0] += seconds

    def reboot(self):
        self.reboots.append(self.running)

    def boot(self):
        """Does what grub.cfg does: boots the trial once, else the confirmed slot."""
        state = State.parse(self.slots.read_bytes())
        if state.trial:
            self.slots.write_bytes(State(state.slot, "", state.floor).block())
        self.slot_file.write_text(f"{state.trial or state.slot}\n")
        return self.running

    def content(self, slot):
        return [(self.partitions / f"{slot}_{part}").read_bytes().rstrip(b"\0") for part in ("boot", "root")]


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "key.pem"
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", path)
    ask("openssl", "pkey", "-in", path, "-pubout", "-out", path.with_name("public.pem"))
    return path


@pytest.fixture
def machine(tmp_path, key):
    home, partitions = tmp_path / "home", tmp_path / "partitions"
    (home / "keys").mkdir(parents=True)
    partitions.mkdir()
    (home / "keys/a.pem").write_bytes(key.with_name("public.pem").read_bytes())
    (home / "healthy.json").write_text('{"seconds": 10, "units": []}')
    (home / "system.json").write_text('{"product": "test"}')
    (home / "version").write_text("1\n")
    for name in ("A_boot", "A_root"):
        (partitions / name).write_bytes(b"old".ljust(4 * PIECE, b"\0"))
    for name in ("B_boot", "B_root"):
        (partitions / name).write_bytes(bytes(4 * PIECE))
    (tmp_path / "slots").write_bytes((FOLDER / "slots").read_bytes())
    found = Machine(home, partitions, tmp_path / "slot", slots=tmp_path / "slots")
    assert found.boot() == "A"
    return found


def image(path, key, *, damage=None, text=b"new", **changes):
    """Writes an update image.

    Args:
        path: of the file.
        key: signs it.
        damage: the index of a piece that is not as the manifest says.
        text: begins both images.
        changes: of the values in the manifest.
    """
    content = text.ljust(3 * PIECE - 10, b"\1")
    digests = [hashlib.sha256(content[at : at + PIECE]).hexdigest() for at in range(0, len(content), PIECE)]
    entry = {"size": len(content), "piece_size": PIECE, "pieces": digests}
    images = [{"name": "boot.img", **entry}, {"name": "root.img", **entry}]
    manifest = json.dumps({"product": "test", "version": "2", "images": images} | changes).encode()
    path.with_suffix(".json").write_bytes(manifest)
    options = ["-rawin", "-inkey", key, "-in", path.with_suffix(".json"), "-out", path.with_suffix(".sig")]
    ask("openssl", "pkeyutl", "-sign", *options)
    signature = f"ed25519 0 {path.with_suffix('.sig').read_bytes().hex()}\n".encode()
    written = bytearray(content)
    if damage is not None:
        written[damage * PIECE] ^= 1
    members = {"manifest.json": manifest, "manifest.json.sig": signature, "boot.img": content, "root.img": written}
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def test_update_trial_and_confirm(machine, tmp_path, key):
    assert install(machine, image(tmp_path / "u.tar", key)) == "2"
    assert machine.boot() == "B"
    assert [content[:3] for content in machine.content("B")] == [b"new", b"new"]
    with pytest.raises(RefusedError, match="is on trial; confirm it first"):
        install(machine, tmp_path / "u.tar")
    confirm(machine)
    assert [machine.boot(), machine.boot()] == ["B", "B"]
    assert not revert(machine)
    assert machine.reboots == []


def test_a_system_that_is_not_confirmed_is_left(machine, tmp_path, key):
    install(machine, image(tmp_path / "u.tar", key))
    assert machine.boot() == "B"
    assert revert(machine)
    assert machine.reboots == ["B"]
    assert [machine.boot(), machine.boot()] == ["A", "A"]


def active(since, sub="running", **values):
    """Returns what systemd says of a unit that is active since a time in seconds."""
    stamp = str(round(since * 1e6))
    return {"ActiveState": "active", "SubState": sub, "ActiveEnterTimestampMonotonic": stamp} | values


CRASHED = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "NRestarts": "5", "Type": "simple"}
RESTARTS = {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code", "NRestarts": "3"}
INACTIVE = {"ActiveState": "inactive", "SubState": "dead", "Result": "success"}
ENDED = INACTIVE | {"ConditionResult": "yes", "ConditionTimestampMonotonic": "9000000"}
NEVER_STARTED = INACTIVE | {"ConditionResult": "no", "ConditionTimestampMonotonic": "0"}


@pytest.fixture
def trial(machine, tmp_path, key):
    """Returns a function that confirms a machine on trial, with a unit's states, and returns the seconds it took."""
    install(machine, image(tmp_path / "u.tar", key))
    assert machine.boot() == "B"
    (machine.home / "healthy.json").write_text('{"seconds": 10, "units": ["other.service", "a.service"]}')

    def confirm_with(*states):
        machine.services.update({"a.service": list(states), "other.service": [active(0)]})
        start = machine.now()
        confirm(machine)
        return machine.now() - start

    return confirm_with


@pytest.mark.parametrize(
    ("states", "duration"),
    [
        ([active(1)], 0),
        ([active(96)], 6),
        ([active(100, sub="exited", Type="oneshot")], 0),
        ([active(100, ActiveState="reloading")], 10),
        ([ENDED | {"Type": "oneshot"}], 0),
        ([ENDED | {"Type": "simple", "ConditionResult": "no"}], 0),
        ([ENDED | {"Type": "simple", "Result": "exec-condition"}], 0),
        ([{"ActiveState": "active", "SubState": "mounted", "ActiveEnterTimestampMonotonic": "0"}], 0),
        ([{"ActiveState": "active", "SubState": "waiting"}], 0),
        # Restarted when it was active for 9.9 s of 10: that counts from the new start.
        ([active(90.1), RESTARTS, active(101)], 11),
    ],
)
def test_healthy_units_confirm(machine, trial, states, duration):
    assert trial(*states) == pytest.approx(duration, abs=1)
    assert machine.state() == State("B")


@pytest.mark.parametrize(
    ("states", "message", "duration"),
    [
        ([CRASHED], "is failed (SubState=failed, Result=exit-code, NRestarts=5); `systemctl status a.service`", 0),
        ([active(99), CRASHED], "is failed (SubState=failed,", 1),
        ([ENDED | {"Type": "exec"}], "is inactive (SubState=dead, Result=success); ", 0),
        ([ENDED | {"Type": "oneshot", "Result": "timeout"}], "is inactive (SubState=dead, Result=timeout); ", 0),
        ([RESTARTS], "was not active for 10 s without a restart, within 60 s: activating (", 60),
        (
            [state for at in range(100, 170, 2) for state in (active(at), RESTARTS)],
            "was not active for 10 s without",
            60,
        ),
        ([{}], "is unknown to systemd ()", 0),
        *(([NEVER_STARTED | kind], "was not started; ", 0) for kind in ({}, {"Type": "oneshot"}, {"Type": "simple"})),
    ],
)
def test_units_that_are_not_healthy_are_named(machine, trial, states, message, duration):
    with pytest.raises(RefusedError, match=f"^a.service: {re.escape(message)}"):
        trial(*states)
    assert machine.now() - 100 == pytest.approx(duration, abs=1)
    assert machine.state() == State("A")


@pytest.mark.parametrize(
    "text",
    [
        None,
        b"",
        b"{",
        b"\xff",
        b"[]",
        b"{}",
        *(b'{"seconds": %s, "units": ["a.service"]}' % each for each in (b'"1"', b"NaN")),
    ],
)
def test_damaged_list_of_units_confirms_nothing(machine, trial, text):
    path = machine.home / "healthy.json"
    path.unlink()
    if text is not None:
        path.write_bytes(text)
    with pytest.raises(RefusedError, match=f"^{path}: (is damaged|cannot be read): "):
        confirm(machine)
    assert machine.state() == State("A")


def test_a_confirmed_system_has_nothing_to_confirm(machine):
    """A service that crashes later is no reason for an error at each boot."""
    (machine.home / "healthy.json").write_text('{"seconds": 10, "units": ["a.service"]}')
    machine.services["a.service"] = [CRASHED]
    confirm(machine)
    assert machine.now() == 100


def test_what_systemctl_says(tmp_path, monkeypatch):
    program = tmp_path / "systemctl"
    program.write_text('#!/bin/sh\nprintf "Type=exec\\nResult=a=b\\nArgs=$*\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    said = System().unit("-.mount")
    assert (said["Type"], said["Result"]) == ("exec", "a=b")
    assert said["Args"].startswith("show --property=ActiveEnterTimestampMonotonic,ActiveState,")
    assert said["Args"].endswith(" -- -.mount")
    program.write_text("#!/bin/sh\necho 'Failed to connect to bus' >&2\nexit 1\n")
    with pytest.raises(RefusedError, match=r"^a\.service: systemctl doesn't show its state: Failed to connect to bus"):
        System().unit("a.service")


def identify(machine, **values):
    """Sets what the running system's root says of it."""
    (machine.home / "system.json").write_text(json.dumps({"product": "test"} | values))


def test_confirm_raises_the_floor_of_the_rollback_index(machine, tmp_path, key):
    """A system on trial does not; a system with a lower index does not lower it."""
    install(machine, image(tmp_path / "u.tar", key, rollback_index=7))
    identify(machine, rollback_index=7)
    assert machine.boot() == "B"
    assert machine.state() == State("A")
    confirm(machine)
    assert machine.state() == State("B", "", 7)
    identify(machine, rollback_index=5)
    confirm(machine)
    assert machine.state() == State("B", "", 7)


@pytest.mark.parametrize(("here", "kept"), [(7, 0), (0, 7), (7, 6), (6, 7)])
def test_images_below_the_floor_are_refused(machine, tmp_path, key, here, kept):
    identify(machine, rollback_index=here)
    machine.put_state(State("A", "B", kept))
    for values, index in (({"rollback_index": 6}, 6), ({}, 0)):
        before = machine.content("B"), machine.slots.read_bytes()
        path = image(tmp_path / "old.tar", key, version="9", **values)
        expected = f"has the rollback index {index}, and this machine takes none below 7: a newer system was confirmed"
        for action in (lambda: install(machine, path), lambda: run(machine, ["check", str(path)])):  # noqa: B023
            with pytest.raises(RefusedError, match=expected):
                action()
        assert (machine.content("B"), machine.slots.read_bytes()) == before
    for index in (7, 8):
        install(machine, image(tmp_path / "new.tar", key, rollback_index=index))
        assert machine.state() == State("A", "B", kept)
    assert machine.boot() == "B"
    assert machine.state() == State("A", "", kept)


def test_confirm_keeps_the_trial_of_an_installed_system(machine, tmp_path, key):
    """A confirmed system may raise the floor after it has installed another one."""
    install(machine, image(tmp_path / "u.tar", key, rollback_index=7))
    identify(machine, rollback_index=3)
    confirm(machine)
    assert machine.state() == State("A", "B", 3)


@pytest.mark.parametrize("text", ["-1", "x", "", "7 ", "99999999999"])
def test_a_damaged_floor_leaves_that_of_the_running_system(machine, tmp_path, key, text):
    machine.slots.write_bytes(f"# GRUB Environment Block\nslot=A\nrollback_index={text}\n".encode().ljust(1024, b"#"))
    identify(machine, rollback_index=7)
    with pytest.raises(RefusedError, match="takes none below 7"):
        install(machine, image(tmp_path / "u.tar", key, rollback_index=6))


def count_writes(monkeypatch, machine):
    """Makes each write to a partition burn the fuse, before and after half of it is written."""
    real = os.fsync

    def fsync(fd):
        machine.burn()
        real(fd)
        machine.burn()

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("number", range(1, 40))
def test_power_cut_at_every_step(machine, tmp_path, key, monkeypatch, number):
    """Whatever slot is booted then has a complete system, and the old one stays until the new one is confirmed."""
    path = image(tmp_path / "u.tar", key)
    old = machine.content("A")
    count_writes(monkeypatch, machine)
    machine.fuse[:] = [number]
    try:
        install(machine, path)
        machine.fuse.clear()
    except PowerCutError:
        machine.fuse.clear()
    slot = machine.boot()
    contents = machine.content(slot)
    assert contents == old if slot == "A" else [content[:3] for content in contents] == [b"new", b"new"]
    assert machine.content("A") == old
    assert machine.boot() == "A"
    install(machine, path)
    assert machine.boot() == "B"


def test_enough_steps_were_cut(machine, tmp_path, key, monkeypatch):
    count_writes(monkeypatch, machine)
    machine.fuse[:] = [10**6]
    install(machine, image(tmp_path / "u.tar", key))
    assert 4 < 10**6 - machine.fuse[0] < 39


def test_power_cut_at_the_confirm(machine, tmp_path, key):
    install(machine, image(tmp_path / "u.tar", key))
    machine.boot()
    machine.fuse[:] = [1]
    with pytest.raises(PowerCutError):
        confirm(machine)
    assert machine.boot() == "A"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damage": 1}, "piece 1 is damaged"),
        ({"product": "other"}, "has product other, this machine test"),
    ],
)
def test_bad_images_change_nothing_that_is_booted(machine, tmp_path, key, options, message):
    with pytest.raises(RefusedError, match=message):
        install(machine, image(tmp_path / "u.tar", key, **options))
    assert State.parse(machine.slots.read_bytes()) == State("A")
    assert machine.boot() == "A"


@pytest.mark.parametrize("here", [{}, {"trust": "distribution"}, {"trust": "own_keys"}])
@pytest.mark.parametrize("there", [{}, {"trust": "distribution"}, {"trust": "own_keys"}])
def test_images_of_the_other_mode_of_trust_are_refused(machine, tmp_path, key, here, there):
    """Systems and images without a mode are older ones, with the distribution's boot loader."""
    identify(machine, **here)
    machine.put_state(State("A", "B"))
    path = image(tmp_path / "u.tar", key, **there)
    mode, other = ({"trust": "distribution"} | each for each in (here, there))
    if mode == other:
        assert install(machine, path) == "2"
        return
    before = machine.content("B"), machine.slots.read_bytes()
    expected = (
        f"is for the mode of trust {other['trust']}, and this machine has {mode['trust']}: its boot loader would not "
        f"start the image; install one that is built for {mode['trust']}$"
    )
    for action in (lambda: install(machine, path), lambda: run(machine, ["check", str(path)])):
        with pytest.raises(RefusedError, match=expected):
            action()
    assert (machine.content("B"), machine.slots.read_bytes()) == before


def test_other_keys_are_refused(machine, tmp_path, capsys):
    ask("openssl", "genpkey", "-algorithm", "ed25519", "-out", tmp_path / "stranger.pem")
    path = image(tmp_path / "u.tar", tmp_path / "stranger.pem")
    with pytest.raises(RefusedError, match="is not signed by a key of this machine"):
        run(machine, ["check", str(path)])


def test_image_larger_than_its_partition(machine, tmp_path, key):
    """Nothing is overwritten, and the message names the partition."""
    (machine.partitions / "B_boot").write_bytes(b"old")
    with pytest.raises(
        RefusedError, match=f"^boot.img: has 2990 bytes, and {machine.partitions}/B_boot has room for 3$"
    ):
        install(machine, image(tmp_path / "u.tar", key))
    assert (machine.partitions / "B_boot").read_bytes() == b"old"
    assert machine.state() == State("A")


def test_missing_partition(machine, tmp_path, key):
    (machine.partitions / "B_boot").unlink()
    with pytest.raises(RefusedError, match=f"^{machine.partitions}/B_boot: No such file or directory$"):
        install(machine, image(tmp_path / "u.tar", key))


def header(kind, size):
    """Returns a header of tar with a size, in the base 256 of GNU tar (information node "Extensions")."""
    member = tarfile.TarInfo("a")
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense" * 100, header(tarfile.XHDTYPE, 1 << 70), header(tarfile.REGTYPE, 1 << 70) + bytes(1024)],
    ids=["empty", "nonsense", "large header", "large file"],
)
def test_what_is_no_image_is_refused(machine, tmp_path, data):
    (tmp_path / "u.tar").write_bytes(data)
    with pytest.raises(RefusedError, match="is no update image"):
        install(machine, tmp_path / "u.tar")
    with pytest.raises(RefusedError, match="No such file"):
        install(machine, tmp_path / "missing.tar")


def test_damage_on_the_disk_is_found(machine, tmp_path, key, monkeypatch):
    real = os.fsync

    def fsync(fd):
        real(fd)
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.name == "B_root":
            os.pwrite(fd, b"X", PIECE)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(RefusedError, match="B_root: piece 1 is damaged"):
        install(machine, image(tmp_path / "u.tar", key))
    assert machine.boot() == "A"


def test_a_partition_that_cannot_be_mounted(tmp_path):
    """As for an account that is not root."""
    with pytest.raises(RefusedError, match="/esp: cannot be mounted, which needs root: mount: "):
        System(partitions=tmp_path).state()


def test_files_of_a_partition_that_stays_mounted(tmp_path, monkeypatch):
    """As if umount was interrupted."""
    esp = tmp_path / "esp"
    (esp / "EFI/debian").mkdir(parents=True)
    (esp / "EFI/debian/slots").write_bytes(State("A").block())
    programs = {"mount": 'echo "$4" >"$0.at"; cp -r "$3/EFI" "$4"', "umount": "exit 32"}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(CalledProcessError):
        System(partitions=tmp_path).state()
    mounted = Path((tmp_path / "mount.at").read_text().strip())
    assert (mounted / "EFI/debian/slots").read_bytes() == State("A").block()
    shutil.rmtree(mounted)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RefusedError("is refused"), "is refused"),
        (OSError(5, "Input/output error", "/dev/x"), "/dev/x: Input/output error"),
        (OSError(5, "Input/output error"), "Input/output error"),
        (CalledProcessError(1, ["umount", "/x"]), "umount /x: failed with status 1"),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, message):
    def fails(*_):
        raise error

    monkeypatch.setattr(ab_update, "run", fails)
    assert main() == 1
    assert capsys.readouterr().err == f"ab-update: error: {message}\n"


def test_no_slot_is_known(machine, capsys):
    """As in a system that the initramfs of an ab_system has not started."""
    machine.slot_file.unlink()
    with pytest.raises(RefusedError, match=f"^{machine.slot_file}: cannot be read: No such file or directory$"):
        run(machine, ["status"])


def test_command_line(machine, tmp_path, key, capsys):
    path = image(tmp_path / "u.tar", key)
    assert run(machine, ["status"]) == run(machine, ["check", str(path)]) == run(machine, ["install", str(path)]) == 0
    assert machine.boot() == "B"
    assert run(machine, ["status"]) == run(machine, ["confirm"]) == run(machine, ["revert"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "slot A, version 1, confirmed",
        "2",
        "version 2 is installed; it is tried at the next boot",
        "slot B, version 1, on trial",
        "the running system is confirmed: it stays",
    ]
    assert run(machine, ["reboot"]) == 2


@pytest.mark.parametrize("state", [State("A"), State("B"), State("A", "B"), State("B", "A"), State("B", "A", 7)])
def test_grub_reads_the_state(tmp_path, state):
    (tmp_path / "slots").write_bytes(state.block())
    assert ask("grub-editenv", tmp_path / "slots", "list").startswith(f"slot={state.slot}\ntrial={state.trial}\n")
    ask("grub-editenv", tmp_path / "slots", "set", "trial=")
    assert State.parse((tmp_path / "slots").read_bytes()) == State(state.slot, "", state.floor)


def test_the_first_state_is_that_of_the_first_boot():
    assert (FOLDER / "slots").read_bytes() == State("A").block()
