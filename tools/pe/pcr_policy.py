"""Signatures of the state in which a TPM gives out what is sealed to a key: the sections `.pcrpkey` and `.pcrsig`.

What is sealed to a public key, such as the key of a disk by systemd-cryptenroll, opens where register 11 has a value
that the private key has signed: that of the images of a product (see `measurement`). So it opens after upgrades, too,
and under no other system. What is signed is the digest of a policy (TPM 2.0 Library, part 3, TPM2_PolicyPCR and
TPM2_PolicyAuthorize): the hash of a command and its arguments, the list of registers and the hash of their values.

The signatures are a JSON text, as `systemd-measure sign` prints it; the stub hands it, and the public key, to the
initramfs as `/.extra/tpm2-pcr-signature.json` and `/.extra/tpm2-pcr-public-key.pem`. They are by RSASSA-PKCS1-v1_5 with
SHA-256, so the same key gives the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from collections.abc import Iterable, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tools.core.errors import UserError
from tools.image.extents import Image
from tools.pe.headers import PeFile, add_sections
from tools.pe.measurement import REGISTER, kernel_image_value, phase_value
from tools.pe.rsa_keys import public_key

PUBLIC_KEY, SIGNATURES = ".pcrpkey", ".pcrsig"
"""Names of the sections."""

_POLICY_PCR, _SHA256 = 0x17F, 0x0B  # TPM_CC_PolicyPCR, TPM_ALG_SHA256
_SELECTION = struct.Struct(">IHB3s")  # TPML_PCR_SELECTION of one bank with 24 registers


def policy_digest(value: bytes) -> bytes:
    """Returns the digest, of 32 bytes, of the policy that register 11 has a value in the bank of SHA-256."""
    selection = _SELECTION.pack(1, _SHA256, 3, (1 << REGISTER).to_bytes(3, "little"))
    values = hashlib.sha256(value).digest()
    return hashlib.sha256(bytes(32) + struct.pack(">I", _POLICY_PCR) + selection + values).digest()


def policy_digests(file: PeFile, phases: Iterable[str]) -> dict[str, bytes]:
    """Returns what a private key signs, by the phase.

    Args:
        file: a unified kernel image with the section `.pcrpkey`, which is measured, too.
        phases: from `normal_phases`.

    Raises:
        UserError: it has no such section, or what is measured depends on the machine.
    """
    section_key(file)
    value = kernel_image_value(file)
    return {phase: policy_digest(phase_value(value, phase)) for phase in phases}


def section_key(file: PeFile) -> rsa.RSAPublicKey:
    """Returns the public key in the section `.pcrpkey`.

    Raises:
        UserError: there is none.
    """
    section = file.find(PUBLIC_KEY)
    if section is None:
        raise UserError(f"{file.name}: has no section {PUBLIC_KEY}; give the public key when the image is built")
    return public_key(file.image.read(section.offset, section.virtual_size), f"{file.name}, {PUBLIC_KEY}")


def public_key_section(key: rsa.RSAPublicKey) -> bytes:
    """Returns the content of the section `.pcrpkey`."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(digest: bytes, key: rsa.RSAPrivateKey) -> bytes:
    """Returns the signature of a digest of a policy."""
    return key.sign(digest, padding.PKCS1v15(), hashes.SHA256())


def with_signatures(file: PeFile, signatures: Mapping[str, bytes]) -> Image:
    """Returns a unified kernel image with the section `.pcrsig`.

    Args:
        file: the image, with the section `.pcrpkey`.
        signatures: of the digests from `policy_digests`, by the phase.

    Raises:
        UserError: a signature is not that of its digest by the key in the image, or the image has signatures already.
    """
    if file.find(SIGNATURES) is not None:
        raise UserError(f"{file.name}: has a section {SIGNATURES} already")
    key, entries = section_key(file), []
    fingerprint = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.PKCS1)).hexdigest()
    for phase, digest in policy_digests(file, sorted(signatures)).items():
        try:
            key.verify(signatures[phase], digest, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise UserError(
                f"{file.name}: the signature for the phase '{phase or ':'}' is not one of it by the key in {PUBLIC_KEY}"
            ) from error
        signature = base64.b64encode(signatures[phase]).decode()
        entries.append({"pcrs": [REGISTER], "pkfp": fingerprint, "pol": digest.hex(), "sig": signature})
    text = json.dumps({"sha256": entries}, separators=(",", ":")) + "\n"
    return add_sections(file, [(SIGNATURES, Image.from_bytes(text.encode()))])
