"""The source of the key of encrypted volumes, by the functions of volumes.sh."""

import subprocess
from pathlib import Path

import pytest

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
        ("printf short", "disk-key wrote a key of store with 5 bytes instead of 64; the volume is left unchanged"),
        ("printf %065d 7", "with 65 bytes instead of 64"),
        ("", "with 0 bytes instead of 64"),
    ],
)
def test_without_a_key_nothing_is_done(find_key, tmp_path, program, message):
    result = find_key("program", program)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert not (tmp_path / "store.keyfile").exists()


@pytest.mark.parametrize("source", ["", "tpm", "CLEAR"])
def test_an_unknown_source_is_refused(find_key, tmp_path, source):
    result = find_key(source, "printf %064d 7")
    assert (result.returncode, result.stdout) == (1, "")
    assert "system.json names no source of disk keys that this system has" in result.stderr
    assert not (tmp_path / "store.keyfile").exists()
