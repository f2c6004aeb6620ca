"""Firmware that trusts the certificate of a test alone, and what is signed for it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from tools.commands import secure_boot_keys
from tools.core.cli import call
from tools.core.errors import UserError
from tools.grub import openpgp
from tools.image.extents import Image
from tools.pe.authenticode import read_certificate, sign, signed, to_sign
from tools.pe.headers import read_pe
from tools.testing.oracles import unavailable
from tools.testing.uefi_files import make_certificate
from tools.vm.firmware import Firmware, find_firmware

_OWNER = "c8b0a1f2-0000-4000-8000-00000000000a"


def own_firmware(folder: Path, certificate: Path) -> Firmware:
    """Returns firmware for Secure Boot that accepts what the key of a certificate has signed, and nothing else.

    The test is skipped, or fails where oracles are required, without the firmware.

    Args:
        folder: directory for its variable store.
        certificate: the certificate, as PEM.
    """
    _, platform = make_certificate(folder, "platform")
    try:
        secure, plain = find_firmware(secure_boot=True), find_firmware()
    except UserError as error:
        unavailable(str(error))
    variables = folder / "variables.fd"
    words = [f"--pk_certificate={platform}", f"--kek_certificate={platform}", f"--db_certificate={certificate}"]
    words += [f"--owner={_OWNER}", f"--ovmf_template={plain.variables}", f"--ovmf_output={variables}"]
    assert call(secure_boot_keys.main, secure_boot_keys.Arguments, None, ["keys", *words]) == 0
    return dataclasses.replace(secure, variables=str(variables))


def signed_program(program: Image, key: Path, certificate: Path) -> Image:
    """Returns a program for UEFI with a signature for the firmware."""
    file, signer = read_pe(program, "program"), read_certificate(str(certificate))
    return signed(file, sign(to_sign(file), str(key), signer), signer)


def loader_signature(file: Image, key: Path) -> bytes:
    """Returns the signature of a file for GRUB."""
    private = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return openpgp.detached_signature(file, openpgp.sign(file, private), private.public_key(), "file")
