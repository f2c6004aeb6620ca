"""The source of the key of encrypted volumes, by the functions of volumes.sh."""

import base64
import os
import subprocess
from pathlib import Path

import pytest

MIB = 1 << 20
VOLUMES = Path(__file__).parents[1] / "rootfs/opt/ic/lib/volumes.sh"


@pytest.fixture
def find_key(tmp_path):
    """Returns a function that finds the key of a volume; what it returns has the key and its mode as output."""

    def run(source, program=None):
        (tmp_path / "system.json").write_text(f'{{"disk_keys":"{source}","product":"guestos","variant":"prod"}}\n')
        settings = f"SYSTEM={tmp_path}/system.json; HEADERS={tmp_path}/run; KEY_FILE={tmp_path}/store.keyfile; "
        settings += "KEY_PROGRAM=; sync_folder() { :; }; "
        if program is not None:
            (tmp_path / "disk-key").write_text(f"#!/bin/sh\n{program}\n")
            (tmp_path / "disk-key").chmod(0o755)
            settings += f"KEY_PROGRAM={tmp_path}/disk-key; "
        calls = 'find_key store; stat -c %a "$KEY_FILE"; od -An -v -tx1 "$KEY_FILE" | tr -d \' \\n\''
        script = f". {VOLUMES}; {settings}{calls}"
        return subprocess.run(["/bin/sh", "-euc", script], capture_output=True, text=True, check=False)

    return run


def test_a_clear_key_is_made_once_and_said_at_each_boot(find_key, tmp_path):
    first, second = find_key("clear"), find_key("clear")
    assert (first.returncode, second.returncode) == (0, 0)
    said = "the key of the encrypted volumes is in the clear on this disk"
    assert first.stdout.splitlines()[:2] == [said, "created a new key for the encrypted volumes"]
    assert second.stdout.splitlines()[:2] == [said, "600"]
    key = (tmp_path / "store.keyfile").read_bytes()
    assert len(key) == 64
    assert first.stdout.splitlines()[-1] == second.stdout.splitlines()[-1] == key.hex()


def test_a_program_of_the_image_has_the_key(find_key, tmp_path):
    result = find_key("program", f'echo "$*" >>{tmp_path}/called; printf %064d 7')
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines() == ["600", (b"0" * 63 + b"7").hex()]
    assert (tmp_path / "called").read_text() == "store\n"
    assert not (tmp_path / "store.keyfile").exists(), "no key is on the disk"
    assert list((tmp_path / "run").iterdir()) == [], "the key is deleted at the end"


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "the image has no program disk-key, and "),
        ("exit 3", "disk-key has no key of store, which is left unchanged"),
        ("printf %064d 7; exit 3", "disk-key has no key of store, which is left unchanged"),
        ("printf short", "disk-key gave a key of store with 5 bytes instead of 64; store is left unchanged"),
        ("printf %065d 7", "with 65 bytes instead of 64"),
        ("", "with 0 bytes instead of 64"),
    ],
)
def test_without_a_key_nothing_is_done(find_key, tmp_path, program, message):
    result = find_key("program", program)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert not (tmp_path / "store.keyfile").exists()


@pytest.mark.parametrize("source", ["", "host", "CLEAR"])
def test_an_unknown_source_is_refused(find_key, tmp_path, source):
    result = find_key(source, "printf %064d 7")
    assert (result.returncode, result.stdout) == (1, "")
    assert "system.json names no source of disk keys that this system has" in result.stderr
    assert not (tmp_path / "store.keyfile").exists()


KIND = base64.b64encode(bytes.fromhex("faf7eb9341e3412ca1a436f95a29362f") + bytes(32)).decode()
"""The beginning of a credential that a TPM has sealed with a signed policy."""

CREDS = """\
#!/bin/sh
# A TPM whose seal is the identity of the machine, before the key in base64.
echo "$*" >>"$FOLDER/called"
case $1 in
    encrypt) [ ! -e "$FOLDER/broken" ] && echo "$KIND" && cat "$FOLDER/identity" && base64 -w 0 "$7" ;;
    decrypt) { read -r _ && read -r identity; } <"$4"
        [ "$identity" = "$(cat "$FOLDER/identity")" ] && sed 1,2d "$4" | base64 -d ;;
esac
"""


class SealingMachine:
    """A machine with a TPM, whose partitions are files."""

    def __init__(self, folder):
        self.folder, self.sealed, self.markers = folder, folder / "disk-key.cred", folder / "formatting"
        for name in ("bin", "partitions", "devices", "formatting", "run"):
            (folder / name).mkdir()
        (folder / "system.json").write_text('{"disk_keys":"tpm"}\n')
        (folder / "bin/systemd-creds").write_text(CREDS)
        (folder / "bin/pcrextend").write_text(f'#!/bin/sh\necho "$*" >>{folder}/pcr\n')
        for program in (folder / "bin").iterdir():
            program.chmod(0o755)
        for name in ("tpm", "signature", "public-key", "identity", "pcr"):
            (folder / name).write_text(f"{name}\n")
        for number, name in enumerate(["esp", "A_var", "B_var", "store"]):
            (folder / f"partitions/vda{number}").write_text(f"GUESTOS_PARTITION={name}\n")
            self.format(number, bytes(MIB))

    def format(self, number, data=b"LUKS"):
        """Writes the first bytes of a partition."""
        (self.folder / f"devices/vda{number}").write_bytes(data)

    def call(self, commands='find_key var; od -An -v -tx1 "$KEY_FILE" | tr -d " \\n"'):
        """Calls functions of volumes.sh."""
        folder = self.folder
        names = {"TPM": "tpm", "PCR_SIGNATURE": "signature", "PCR_PUBLIC_KEY": "public-key", "PCR_11": "pcr"}
        names |= {"SYSTEM": "system.json", "SEALED_KEY": "disk-key.cred", "PCR_EXTEND": "bin/pcrextend"}
        names |= {"HEADERS": "run", "MARKERS": "formatting", "PARTITIONS": "partitions", "DEVICES": "devices"}
        settings = "; ".join(f"{name}={folder}/{path}" for name, path in names.items())
        script = f". {VOLUMES}; {settings}; sync_folder() {{ :; }}; {commands}"
        environment = os.environ | {"PATH": f"{folder}/bin:{os.environ['PATH']}", "FOLDER": str(folder), "KIND": KIND}
        words = ["/bin/sh", "-euc", script]
        return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)

    def refused(self):
        """Calls what must be refused; returns the message."""
        before = self.sealed.read_text() if self.sealed.exists() else None
        result = self.call()
        assert (result.returncode, result.stdout) == (1, "")
        assert (self.sealed.read_text() if self.sealed.exists() else None) == before
        assert list((self.folder / "run").iterdir()) == [], "no key stays in memory"
        line = result.stderr.splitlines()[-1]
        assert line.startswith("<3>")
        return line


@pytest.fixture
def machine(tmp_path):
    return SealingMachine(tmp_path)


def test_a_sealed_key_is_made_once_and_opened_at_each_boot(machine):
    first, second = machine.call(), machine.call()
    assert (first.returncode, second.returncode, first.stderr + second.stderr) == (0, 0, "")
    said, key = first.stdout.splitlines()
    assert said == "the TPM has sealed a new key for the encrypted volumes"
    assert len(bytes.fromhex(key)) == 64
    assert second.stdout == key
    assert not machine.sealed.with_suffix(".cred.new").exists()
    assert list((machine.folder / "run").iterdir()) == [], "the key is deleted at the end"
    sealing, *opening = (machine.folder / "called").read_text().splitlines()
    assert "--with-key=tpm2-with-public-key --tpm2-pcrs=7" in sealing
    assert f"--tpm2-public-key={machine.folder}/public-key --tpm2-public-key-pcrs=11" in sealing
    assert len(opening) == 2, "what was sealed is opened before it is kept"


@pytest.mark.parametrize("number", [1, 2, 3])
def test_no_new_key_is_made_where_a_volume_is_formatted(machine, number):
    machine.format(number)
    name = {1: "A_var", 2: "B_var", 3: "store"}[number]
    assert f"disk-key.cred is missing, and only its key opens {name}; var is left unchanged: " in machine.refused()
    assert not (machine.folder / "called").exists()


def test_a_device_that_cannot_be_read_counts_as_formatted(machine):
    (machine.folder / "devices/vda3").unlink()
    assert "only its key opens store;" in machine.refused()


def test_a_volume_that_was_being_formatted_needs_no_old_key(machine):
    machine.format(1)
    (machine.markers / "var_A").touch()
    assert machine.call().returncode == 0


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("tpm", "this machine has no TPM 2, by which the key of var is sealed, and var is left unchanged: add the TPM"),
        ("signature", "signature is missing, and var is left unchanged: start an image in own-key mode with a pcr_key"),
        ("public-key", "public-key is missing, and var is left unchanged"),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_a_tpm_needs(machine, missing, message, sealed):
    if sealed:
        assert machine.call().returncode == 0
    (machine.folder / missing).unlink()
    assert message in machine.refused()


def test_another_machine_opens_nothing(machine):
    assert machine.call().returncode == 0
    (machine.folder / "identity").write_text("another\n")
    assert "the TPM does not open " in machine.refused()


def test_what_the_tpm_does_not_open_is_not_kept(machine):
    (machine.folder / "bin/systemd-creds").write_text(CREDS.replace('echo "$KIND" &&', 'echo "$KIND" && echo other &&'))
    assert "the TPM does not open " in machine.refused()


def test_a_tpm_that_does_not_seal(machine):
    (machine.folder / "broken").touch()
    assert "the TPM cannot seal a key, and var is left unchanged" in machine.refused()


@pytest.mark.parametrize("text", ["", "\n", "Whxqht+dQJax1aZeCGLxmiAA\n", "k6iUCUh0RJCQyvL8k8q1UyAA\n", "\0\1\2"])
def test_a_file_that_no_tpm_has_sealed_is_refused(machine, text):
    """Among them credentials that are sealed by no key, or by one in a file, which an attacker could put there."""
    machine.sealed.write_text(text)
    assert "disk-key.cred is not a key that a TPM has sealed, and var is left unchanged" in machine.refused()


def test_a_sealed_key_of_another_size_is_refused(machine):
    machine.sealed.write_text(f"{KIND}\nidentity\nABE=\n")
    assert "gave a key of var with 2 bytes instead of 64; var is left unchanged" in machine.refused()


def test_the_register_is_extended_after_the_last_volume(machine):
    assert machine.call("find_key store; lock_key").returncode == 0
    assert (machine.folder / "pcr").read_text() == "pcr\nvolumes-opened\n"
    last = (VOLUMES.parents[1] / "bin/setup-store.sh").read_text().splitlines()[-1]
    assert last == "lock_key"


@pytest.mark.parametrize(
    ("program", "message"), [("exit 1", "PCR 11 cannot be extended"), ("exit 0", "PCR 11 was not extended")]
)
def test_a_register_that_is_not_extended_is_an_error(machine, program, message):
    (machine.folder / "bin/pcrextend").write_text(f"#!/bin/sh\n{program}\n")
    result = machine.call("find_key store; lock_key")
    assert result.returncode == 1
    assert f"{message}: programs could read the key" in result.stderr


def test_other_sources_extend_no_register(machine):
    result = machine.call("source=clear; lock_key")
    assert (result.returncode, (machine.folder / "pcr").read_text()) == (0, "pcr\n")
