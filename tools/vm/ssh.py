"""Logins by SSH to a machine under test, from the machine itself."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from tools.vm.shell import Shell

KEY_FILE = "/run/test-key"
"""The private key of `log_in` on the machine."""
_OPTIONS = "-q -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"


def key_pair() -> tuple[bytes, bytes]:
    """Returns a fixed private and public key in OpenSSH's file formats."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    return private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), public + b" test\n"


def log_in(shell: Shell, private_key: bytes, destination: str, timeout: float, port: int = 22) -> str:
    """Logs in by SSH with a key; returns the name of the account.

    Args:
        shell: a root shell of the machine, which needs the OpenSSH client.
        private_key: private key in OpenSSH's file format.
        destination: ACCOUNT@ADDRESS, as seen from the machine.
        timeout: timeout in seconds.
        port: TCP port.

    Raises:
        ConsoleError: the login fails.
    """
    encoded = base64.b64encode(private_key).decode()
    shell.check(f"umask 077; echo {encoded} | base64 --decode >{KEY_FILE}")
    return shell.check(f"{command(destination, port)} id -un", timeout)


def command(destination: str, port: int = 22) -> str:
    """Returns the command line of ssh, which takes a command. `log_in` must have succeeded before: its key is used.

    Args:
        destination: ACCOUNT@ADDRESS, as seen from the machine.
        port: TCP port of SSH.
    """
    return f"ssh {_OPTIONS} -i {KEY_FILE} -p {port} {destination}"


def forwards(shell: Shell, destination: str, target: str, timeout: float, port: int = 22) -> bool:
    """Returns whether sessions forward connections. `log_in` must have succeeded before: its key is used.

    Args:
        shell: a root shell of the machine, which needs the OpenSSH client.
        destination: ACCOUNT@ADDRESS, as seen from the machine.
        target: ADDRESS:PORT of the connection, as seen from the destination; something listens there.
        timeout: timeout in seconds.
        port: TCP port of SSH.
    """
    return shell.run(f"{command(destination, port)} -W {target}", timeout).status == 0
