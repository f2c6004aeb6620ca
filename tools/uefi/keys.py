"""The variables of UEFI firmware that hold the keys of Secure Boot: PK, KEK and db.

See the UEFI specification, sections 8.2.2 (authenticated variables) and 32.4.1 (signature databases). A variable holds
a list of certificates. PK and KEK are signed by PK, and db by a key in KEK. Firmware in setup mode, which has no PK,
takes the others without that; a new PK ends the setup mode.
"""

from __future__ import annotations

import datetime as dt
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from tools.pe.authenticode import Signer
from tools.pe.rsa_keys import read_private_key

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")  # EFI_GLOBAL_VARIABLE
_DATABASE = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")  # EFI_IMAGE_SECURITY_DATABASE_GUID
_X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")  # EFI_CERT_X509_GUID
_PKCS7 = uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")  # EFI_CERT_TYPE_PKCS7_GUID

VENDORS = {"PK": GLOBAL, "KEK": GLOBAL, "db": _DATABASE}
"""The names of the variables, in the order in which later ones are signed by earlier ones, and their GUIDs."""

ATTRIBUTES = 0x27
"""Not volatile, for boot and runtime services, authenticated by time."""

_LIST = struct.Struct("<16sIII")  # EFI_SIGNATURE_LIST
_TIME = struct.Struct("<HBBBBBxIhBx")  # EFI_TIME
_CERTIFICATE = struct.Struct("<IHH16s")  # WIN_CERTIFICATE_UEFI_GUID
_REVISION, _EFI_GUID = 0x0200, 0x0EF1
_CONTENT_INFO = 19
"""Size of what is before the SignedData of a message of 256 bytes to 64 KiB: two tags with lengths, and its type."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with keys.

    Attributes:
        name: PK, KEK or db.
        data: the signature lists.
        time: its time stamp; firmware takes no variable with an earlier one than it has.
    """

    name: str
    data: bytes
    time: dt.datetime


def key_variable(name: str, signers: Sequence[Signer], owner: uuid.UUID, time: dt.datetime) -> Variable:
    """Returns the variable with some certificates.

    Args:
        name: PK, KEK or db.
        signers: the certificates.
        owner: GUID of who has enrolled them, for people who list them.
        time: its time stamp, in UTC.
    """
    return Variable(name, b"".join(_signature_list(each, owner) for each in signers), time)


def _signature_list(signer: Signer, owner: uuid.UUID) -> bytes:
    certificate = signer.certificate.public_bytes(Encoding.DER)
    size = len(owner.bytes_le) + len(certificate)
    return _LIST.pack(_X509.bytes_le, _LIST.size + size, 0, size) + owner.bytes_le + certificate


def encoded_time(time: dt.datetime) -> bytes:
    """Returns a time in UTC as EFI_TIME."""
    return _TIME.pack(time.year, time.month, time.day, time.hour, time.minute, time.second, 0, 0, 0)


def signed_bytes(variable: Variable) -> bytes:
    """Returns what a signature of a variable covers."""
    name, vendor = variable.name.encode("utf-16-le"), VENDORS[variable.name].bytes_le
    return name + vendor + struct.pack("<I", ATTRIBUTES) + encoded_time(variable.time) + variable.data


def authenticated(variable: Variable, signer: Signer, key_path: str) -> bytes:
    """Returns the content of an `.auth` file: a variable with a signature, as firmware and its tools take it.

    The signature has no attributes, so the same key and the same variable give the same bytes.

    Args:
        variable: the variable.
        signer: the certificate of the key that signs.
        key_path: of the private key, a PEM file.

    Raises:
        UserError: it is not a private key of RSA, or not that of the certificate.
    """
    options = [pkcs7.PKCS7Options.DetachedSignature, pkcs7.PKCS7Options.Binary, pkcs7.PKCS7Options.NoAttributes]
    key = read_private_key(key_path, signer.key, signer.path)
    builder = pkcs7.PKCS7SignatureBuilder().set_data(signed_bytes(variable))
    builder = builder.add_signer(signer.certificate, key, hashes.SHA256())
    message = builder.sign(Encoding.DER, options)[_CONTENT_INFO:]
    header = _CERTIFICATE.pack(_CERTIFICATE.size + len(message), _REVISION, _EFI_GUID, _PKCS7.bytes_le)
    return encoded_time(variable.time) + header + message + variable.data
