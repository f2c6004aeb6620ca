"""Compares signatures of PCR 11 with those that systemd-measure makes by the same key."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.headers import read_pe
from tools.pe.measurement import DEFAULT_PHASES, normal_phases
from tools.pe.pcr_policy import policy_digests, public_key_section, sign, with_signatures
from tools.testing.oracles import ask
from tools.testing.pe_files import pe_file
from tools.testing.systemd_measure import SystemdMeasure

ROOM = 0x600


@pytest.fixture(scope="module")
def oracle(tmp_path_factory):
    return SystemdMeasure(tmp_path_factory.mktemp("measure"))


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture(scope="module")
def key_path(key, tmp_path_factory):
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.touch(0o600)  # systemd-measure logs a warning of keys that others may read
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path


def image_of(sections):
    return read_pe(Image.from_bytes(pe_file([(".text", b"\xc3"), *sections.items()], room=ROOM)), "uki")


def sections_of(key, **more):
    return {".linux": b"kernel", ".pcrpkey": public_key_section(key.public_key())} | {
        f".{n}": d for n, d in more.items()
    }


def signed(file, key, phases=DEFAULT_PHASES):
    digests = policy_digests(file, normal_phases(phases))
    return with_signatures(file, {phase: sign(digest, key) for phase, digest in digests.items()})


def signatures_of(image):
    file = read_pe(image, "signed")
    section = file.find(".pcrsig")
    return image.read(section.offset, section.virtual_size).decode()


def test_the_section_of_the_key_is_what_openssl_writes(key, key_path):
    assert public_key_section(key.public_key()).decode() == ask("openssl", "pkey", "-in", key_path, "-pubout")


@settings(max_examples=20)
@given(st.binary(min_size=1, max_size=500), st.sampled_from([[], [":"], ["enter-initrd", ":"]]))
def test_the_signatures_are_those_of_systemd_measure(oracle, key, key_path, content, phases):
    sections = sections_of(key, initrd=content, cmdline=b"quiet --")
    ours = signatures_of(signed(image_of(sections), key, phases or DEFAULT_PHASES))
    assert ours == oracle.sign(sections, phases, key_path)


def test_the_same_inputs_give_the_same_bytes(key):
    first, second = (signed(image_of(sections_of(key)), key) for _ in range(2))
    assert first.read(0, first.size) == second.read(0, second.size)


def test_the_text_has_an_entry_for_each_phase(key):
    entries = json.loads(signatures_of(signed(image_of(sections_of(key)), key)))["sha256"]
    assert [entry["pcrs"] for entry in entries] == [[11]] * 4
    assert len({entry["pol"] for entry in entries}) == 4


def test_a_signature_of_another_phase_or_key_is_refused(key):
    file = image_of(sections_of(key))
    good = {phase: sign(digest, key) for phase, digest in policy_digests(file, ["", "enter-initrd"]).items()}
    with pytest.raises(
        UserError, match=r"^uki: the signature for the phase ':' is not one of it by the key in \.pcrpkey$"
    ):
        with_signatures(file, {"": good["enter-initrd"]})
    other = sign(policy_digests(file, ["enter-initrd"])["enter-initrd"], rsa.generate_private_key(65537, 2048))
    with pytest.raises(UserError, match="the signature for the phase 'enter-initrd' is not one of it"):
        with_signatures(file, good | {"enter-initrd": other})


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({".linux": b"k"}, "uki: has no section .pcrpkey; give the public key when the image is built"),
        ({".linux": b"k", ".pcrpkey": b"key"}, "uki, .pcrpkey: is not a public key as PEM"),
        ({".pcrpkey": "good"}, "uki: has no section .linux"),
        ({".linux": b"k", ".pcrpkey": "good", ".pcrsig": b"x"}, "uki: has a section .pcrsig already"),
        ({".linux": b"k", ".pcrpkey": "short"}, "uki, .pcrpkey: is not a public key of RSA with 2048 bits or more"),
    ],
)
def test_refuses(key, sections, message):
    keys = {"good": key, "short": rsa.generate_private_key(65537, 1024)}
    made = {
        name: public_key_section(keys[data].public_key()) if data in keys else data for name, data in sections.items()
    }
    with pytest.raises(UserError, match=message):
        signed(image_of(made), key)
