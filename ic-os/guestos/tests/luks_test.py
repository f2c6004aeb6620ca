"""The check of the header of encrypted volumes, with headers that cryptsetup writes.

The volumes are files, and are not activated, which only root can: cryptsetup tests the key.
"""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tools.testing.oracles import ask, oracle

ROOTFS = Path(__file__).parents[1] / "rootfs"
VOLUMES = ROOTFS / "opt/ic/lib/volumes.sh"
COPY_HEADER = ROOTFS / "opt/ic/bin/copy-luks-header.py"
SIZE = 32 << 20


class Volume:
    """A file in the place of a partition, and a key."""

    def __init__(self, folder):
        self.device, self.key = folder / "device", folder / "key"
        self._folder = folder
        self.key.write_bytes(bytes(range(64)))
        self.device.touch()
        fake = folder / "bin/cryptsetup"
        fake.parent.mkdir()
        fake.write_text(
            "#!/bin/sh\n"
            f'[ "$1" = open ] || exec {oracle("cryptsetup")} "$@"\n'
            "for last; do :; done\n"
            'shift; words=; while [ "$1" != "$last" ]; do words="$words $1"; shift; done\n'
            f"exec {oracle('cryptsetup')} open --test-passphrase $words\n"
        )
        fake.chmod(0o755)
        self.format()

    def format(self, *options, kind="luks2"):
        """Formats the volume anew, as another program may; without options as the system does."""
        self.device.write_bytes(b"")
        with self.device.open("r+b") as file:
            file.truncate(SIZE)
        if options or kind != "luks2":
            words = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", f"--key-file={self.key}", *options]
            ask("cryptsetup", "luksFormat", "--batch-mode", f"--type={kind}", *words, self.device)
        else:
            result = self.call(f"luks_format store {self.device}")
            assert result.returncode == 0, result.stderr

    def change(self, *words):
        """Changes the header by a command of cryptsetup."""
        ask("cryptsetup", *words)

    def call(self, command):
        """Calls a function of volumes.sh."""
        settings = f"KEY_FILE={self.key}; HEADERS={self._folder}/headers; COPY_HEADER={COPY_HEADER}"
        path = f"{self._folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        script = f". {VOLUMES}; {settings}; {command}"
        return subprocess.run(
            ["/bin/sh", "-euc", script], env={"PATH": path}, capture_output=True, text=True, check=False
        )

    def open(self):
        """Opens the volume; returns the exit status and the messages."""
        result = self.call(f"luks_open store {self.device}")
        assert not list((self._folder / "headers").glob("*")), "the copy of the header is removed"
        return result.returncode, result.stderr


@pytest.fixture
def volume(tmp_path):
    return Volume(tmp_path)


def test_a_volume_of_this_system_is_opened(volume):
    assert volume.open() == (0, "")


def test_another_key_does_not_open_it(volume):
    volume.key.write_bytes(bytes(64))
    status, messages = volume.open()
    assert status != 0
    assert "No key available" in messages


@pytest.mark.parametrize("copy", [0, 1])
def test_a_damaged_copy_of_the_metadata_is_not_needed(volume, copy):
    with volume.device.open("r+b") as file:
        file.seek(copy * 16384 + 5000)
        file.write(b"damage")
    assert volume.open() == (0, "")


GOOD = ["--cipher=aes-xts-plain64", "--key-size=512"]


def test_a_volume_with_another_alignment_is_opened(volume):
    volume.format("--hash=sha256", *GOOD, "--offset=40960")
    assert volume.open() == (0, "")


OPTIONS = {
    "cbc": ["--cipher=aes-cbc-essiv:sha256", "--key-size=256"],
    "another cipher of the key slot": [*GOOD, "--keyslot-cipher=aes-cbc-plain64", "--keyslot-key-size=256"],
    "a shorter key": ["--cipher=aes-xts-plain64", "--key-size=256"],
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_a_volume_that_is_encrypted_otherwise_is_refused(volume, options):
    volume.format("--hash=sha256", *options)
    status, messages = volume.open()
    assert status == 1
    assert f"{volume.device}: has a LUKS2 header with " in messages
    assert messages.endswith("; it is not opened\n")


def forged(header, member):
    """Returns a header whose cipher in a member is that without encryption, with the right checksums."""
    header = bytearray(header)
    for start in (0, 16384):
        area = slice(start + 4096, start + 16384)
        values = json.loads(header[area].rstrip(b"\0"))
        at = values[member]["0"]
        at.get("area", at)["encryption"] = "cipher_null-ecb"
        header[area] = json.dumps(values, separators=(",", ":")).encode().ljust(12288, b"\0")
        header[start + 448 : start + 512] = bytes(64)
        header[start + 448 : start + 480] = hashlib.sha256(header[start : start + 16384]).digest()
    return bytes(header)


@pytest.mark.parametrize("member", ["segments", "keyslots"])
def test_a_volume_without_encryption_is_refused(volume, member):
    with volume.device.open("r+b") as file:
        header = forged(file.read(32768), member)
        file.seek(0)
        file.write(header)
    assert "cipher_null-ecb" in ask("cryptsetup", "luksDump", volume.device), "cryptsetup takes the header"
    status, messages = volume.open()
    assert status == 1
    assert re.search(
        rf"has a LUKS2 header with {member}\..*encryption 'cipher_null-ecb', not 'aes-xts-plain64'", messages
    )


def test_luks1_is_refused(volume):
    volume.format("--cipher=aes-xts-plain64", kind="luks1")
    status, messages = volume.open()
    assert (status, messages) == (1, f"<3>{volume.device}: has no intact LUKS2 header; it is not opened\n")


def test_a_second_key_is_refused(volume, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(b"o" * 64)
    options = ["--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000", f"--key-file={volume.key}"]
    volume.change("luksAddKey", "--batch-mode", *options, volume.device, other)
    status, messages = volume.open()
    assert status == 1
    assert "has a LUKS2 header with keyslots: '0, 1', not '0'" in messages


def test_a_token_is_refused(volume):
    volume.change("token", "add", "--key-description=x", volume.device)
    status, messages = volume.open()
    assert status == 1
    assert "has a LUKS2 header with tokens: '0', not ''" in messages
