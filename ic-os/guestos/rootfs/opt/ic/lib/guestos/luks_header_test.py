"""Headers of encrypted volumes that are not as this system writes them; tests/luks_test.py has those of cryptsetup."""

import base64
import copy
import hashlib
import json

import pytest

from guestos import luks_header
from guestos.errors import GuestError
from guestos.luks_header import SIZE, check

B64 = base64.b64encode(bytes(range(32))).decode()
GOOD = {
    "keyslots": {
        "0": {
            "type": "luks2",
            "key_size": 64,
            "af": {"type": "luks1", "stripes": 4000, "hash": "sha256"},
            "area": {
                "type": "raw",
                "offset": "32768",
                "size": "258048",
                "encryption": "aes-xts-plain64",
                "key_size": 64,
            },
            "kdf": {"type": "pbkdf2", "hash": "sha256", "iterations": 1000, "salt": B64},
        }
    },
    "tokens": {},
    "segments": {
        "0": {
            "type": "crypt",
            "offset": "16777216",
            "size": "dynamic",
            "iv_tweak": "0",
            "encryption": "aes-xts-plain64",
            "sector_size": 4096,
        }
    },
    "digests": {
        "0": {
            "type": "pbkdf2",
            "keyslots": ["0"],
            "segments": ["0"],
            "hash": "sha256",
            "iterations": 1000,
            "salt": B64,
            "digest": B64,
        }
    },
    "config": {"json_size": "12288", "keyslots_size": "16744448"},
}
SLOT, SEGMENT = ("keyslots", "0"), ("segments", "0")


def metadata(text, number=0, version=2, algorithm=b"sha256", offset=None):
    """Returns a copy of the metadata: the binary header, and JSON in 16 KiB."""
    header = bytearray(4096)
    header[:6] = (b"LUKS\xba\xbe", b"SKUL\xba\xbe")[number]
    header[6:8] = version.to_bytes(2, "big")
    header[8:16] = (16384).to_bytes(8, "big")
    header[72 : 72 + len(algorithm)] = algorithm
    header[256:264] = (number * 16384 if offset is None else offset).to_bytes(8, "big")
    area = (text if isinstance(text, bytes) else text.encode()).ljust(12288, b"\0")
    header[448:480] = hashlib.sha256(bytes(header) + area).digest()
    return bytes(header) + area


def volume(first, second=bytes(16384)):
    return first + second + b"key slots".ljust(SIZE - 32768, b"k")


def header(values):
    return volume(*(metadata(json.dumps(values), number) for number in (0, 1)))


def changed(path, value):
    """Returns the values of a header with another one; `value` is None for none."""
    values = copy.deepcopy(GOOD)
    *parents, last = path
    at = values
    for each in parents:
        at = at[each]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return values


def test_a_good_header_is_copied_with_one_copy_of_its_metadata():
    data = header(GOOD)
    assert check(data) == (data[:16384] + bytes(16384) + data[32768:], 16 << 20)


def test_the_second_copy_is_taken_if_the_first_is_damaged():
    data = header(GOOD)
    damaged = data[:5000] + b"?" + data[5001:]
    assert check(damaged) == (bytes(16384) + data[16384:], 16 << 20)


def test_the_copy_reaches_to_the_data():
    assert check(header(changed((*SEGMENT, "offset"), "20971520")))[1] == 20971520


@pytest.mark.parametrize("sector_size", [512, 4096])
def test_both_sizes_of_sectors_are_good(sector_size):
    check(header(changed((*SEGMENT, "sector_size"), sector_size)))


CHANGES = {
    "no encryption of the data": ((*SEGMENT, "encryption"), "cipher_null-ecb"),
    "another cipher of the data": ((*SEGMENT, "encryption"), "aes-ecb"),
    "no encryption of the key slot": ((*SLOT, "area", "encryption"), "cipher_null-ecb"),
    "another type of segment": ((*SEGMENT, "type"), "linear"),
    "another size": ((*SEGMENT, "size"), "4096"),
    "data in the header": ((*SEGMENT, "offset"), "4096"),
    "data far away": ((*SEGMENT, "offset"), "999999999999"),
    "an offset that is no number": ((*SEGMENT, "offset"), "1e9"),
    "integrity": ((*SEGMENT, "integrity"), {"type": "none", "journal_encryption": "none", "journal_integrity": "none"}),
    "flags of a segment": ((*SEGMENT, "flags"), ["backup-final"]),
    "a second segment": (("segments", "1"), GOOD["segments"]["0"]),
    "a second key slot": (("keyslots", "1"), GOOD["keyslots"]["0"]),
    "no key slot": (SLOT, None),
    "a key slot elsewhere": ((*SLOT, "area", "offset"), "290816"),
    "a key slot of another size": ((*SLOT, "area", "size"), "16744448"),
    "a short key": ((*SLOT, "key_size"), 32),
    "another kind of key slot": ((*SLOT, "type"), "reencrypt"),
    "another key derivation": (
        (*SLOT, "kdf"),
        {"type": "argon2id", "time": 4, "memory": 1 << 30, "cpus": 4, "salt": B64},
    ),
    "few iterations": ((*SLOT, "kdf", "iterations"), 1),
    "iterations that are no number": ((*SLOT, "kdf", "iterations"), True),
    "a short salt": ((*SLOT, "kdf", "salt"), "AAAA"),
    "a token": (("tokens", "0"), {"type": "luks2-keyring", "keyslots": ["0"], "key_description": "x"}),
    "requirements": (("config", "requirements"), {"mandatory": ["online-reencrypt"]}),
    "flags": (("config", "flags"), ["no-read-workqueue"]),
    "a second digest": (("digests", "1"), GOOD["digests"]["0"]),
    "a digest of no segment": (("digests", "0", "segments"), []),
    "a short digest": (("digests", "0", "digest"), "AAAA"),
    "unknown members": (("more",), {}),
    "no segments": (("segments",), None),
    "a list": (("segments",), []),
}


@pytest.mark.parametrize(("path", "value"), CHANGES.values(), ids=CHANGES)
def test_a_header_with_other_values_is_refused(path, value):
    with pytest.raises(GuestError, match="has a LUKS2 header with "):
        check(header(changed(path, value)))


TEXT = json.dumps(GOOD)
BROKEN = {
    "a name twice": TEXT[:-1] + ', "config": {}}',
    "no JSON": "{",
    "deep": "[" * 12000,
    "no text": b"\xff",
    "text after the JSON": TEXT + "\0x",
    "no object": "1",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_broken_json_is_refused(text):
    with pytest.raises(GuestError):
        check(volume(metadata(text), metadata(TEXT, 1)))


FIELDS = {
    "version 1": {"version": 1},
    "another checksum": {"algorithm": b"sha1"},
    "another place": {"offset": 4096},
    "the magic of the other copy": {"number": 1, "offset": 0},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_a_binary_header_with_other_fields_is_refused(fields):
    with pytest.raises(GuestError, match="has no intact LUKS2 header"):
        check(volume(metadata(TEXT, **fields)))


@pytest.mark.parametrize("data", [b"", bytes(SIZE), header(GOOD)[:-1]])
def test_what_has_no_header_is_refused(data):
    with pytest.raises(GuestError):
        check(data)


def test_the_program_writes_nothing_after_an_error(tmp_path, capsys):
    device, output = tmp_path / "device", tmp_path / "copy"
    device.write_bytes(header(changed((*SEGMENT, "encryption"), "cipher_null-ecb")))
    assert luks_header.main([str(device), str(output)]) == 1
    message = f"<3>{device}: has a LUKS2 header with segments.0.encryption 'cipher_null-ecb', not 'aes-xts-plain64'"
    assert capsys.readouterr().err == f"{message}; it is not opened\n"
    assert not output.exists()
    assert luks_header.main([str(tmp_path / "missing"), str(output)]) == 1
    assert capsys.readouterr().err == f"<3>{tmp_path}/missing: No such file or directory\n"


def test_the_copy_is_for_root_alone(tmp_path):
    (tmp_path / "device").write_bytes(header(GOOD))
    assert luks_header.main([str(tmp_path / "device"), str(tmp_path / "copy")]) == 0
    assert (tmp_path / "copy").read_bytes() == check(header(GOOD))[0].ljust(16 << 20, b"\0")
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
