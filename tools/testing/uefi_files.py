"""Variable stores of UEFI firmware, and keys and certificates by openssl, for tests."""

from __future__ import annotations

import struct
import uuid
from pathlib import Path

from tools.testing.oracles import ask


def make_certificate(folder: Path, name: str, bits: int = 2048) -> tuple[Path, Path]:
    """Writes a private key of RSA and a certificate of it; returns the paths of both."""
    key, certificate = folder / f"{name}.key.pem", folder / f"{name}.pem"
    words = ["-x509", "-newkey", f"rsa:{bits}", "-nodes", "-days", "3650", "-subj", f"/CN={name}", "-batch"]
    ask("openssl", "req", *words, "-keyout", key, "-out", certificate)
    return key, certificate


def variable_store(size: int = 0x10000, room: int = 0x10000 - 72) -> bytes:
    """Returns an empty variable store of OVMF, as the build of the firmware makes it.

    Args:
        size: in bytes.
        room: what its header says of the size of the store.
    """
    volume = bytes(16) + uuid.UUID("fff12b8d-7696-4c8b-a985-2747075b4f50").bytes_le
    volume += struct.pack("<QIIHHHBBIIII", size, 0x4856465F, 0x4FEFF, 72, 0, 0, 0, 2, size // 4096, 4096, 0, 0)
    store = uuid.UUID("aaf32c78-947b-439a-a180-2e144ec37792").bytes_le + struct.pack("<IBB6x", room, 0x5A, 0xFE)
    return (volume + store).ljust(size, b"\xff")
