"""Logins by SSH to a machine under test, from the machine itself."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tools.vm.shell import Shell

_KEY_FILE = "/run/test-key"
_OPTIONS = "-q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


def key_pair() -> tuple[bytes, bytes]:
    """Returns the content of OpenSSH's files for a private and a public key; the same in every run."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), public + b" test\n"


def log_in(shell: Shell, private_key: bytes, destination: str, timeout: float, port: int = 22) -> str:
    """Logs in by SSH with a key, and returns the name of the account that it led to.

    Args:
        shell: a root shell of the machine, which needs the OpenSSH client.
        private_key: the content of the file of the private key.
        destination: ACCOUNT@ADDRESS, as seen from the machine.
        timeout: the limit in seconds.
        port: the TCP port.

    Raises:
        ConsoleError: the login fails.
    """
    encoded = base64.b64encode(private_key).decode()
    shell.check(f"umask 077; echo {encoded} | base64 --decode >{_KEY_FILE}")
    return shell.check(f"ssh {_OPTIONS} -i {_KEY_FILE} -p {port} {destination} id -un", timeout)
