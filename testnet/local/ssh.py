"""SSH to the nodes of a deployment on this machine: keys, a configuration for OpenSSH, and commands on a node."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from testnet.local.state import HOST, LocalNode, State
from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all

ACCOUNT = "admin"
_KEY = "id_ed25519"
_CONFIG = "config"
_CONNECT_SECONDS = 20


def write_key(state: State) -> str:
    """Returns the public key that logs in, as a line; makes the pair if there is none."""
    state.ssh_folder.mkdir(mode=0o700, exist_ok=True)
    private, public = state.ssh_folder / _KEY, state.ssh_folder / f"{_KEY}.pub"
    if not public.exists():
        key = Ed25519PrivateKey.generate()
        with replacing(private, secret=True) as file:
            write_all(file, key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
        text = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        with replacing(public) as file:
            write_all(file, text + f" testnet-{state.name}\n".encode())
    return public.read_text("ascii")


def write_config(state: State, nodes: Sequence[LocalNode]) -> None:
    """Writes the configuration for OpenSSH."""
    with replacing(state.ssh_folder / _CONFIG, secret=True) as file:
        write_all(file, config(state, nodes).encode())


def config(state: State, nodes: Sequence[LocalNode]) -> str:
    """Returns a configuration for OpenSSH in which the nodes have their names (ssh_config(5))."""
    return "\n".join(_host(state, node) for node in nodes)


def _host(state: State, node: LocalNode) -> str:
    return host_section(state, node.name, node.hostname, {"HostName": HOST, "Port": str(node.ports["ssh"])})


def host_section(state: State, name: str, hostname: str, access: Mapping[str, str]) -> str:
    """Returns the section of a node in a configuration for OpenSSH.

    Args:
        state: of the deployment, with its key.
        name: of the node.
        hostname: its host name, by which it can be named, too.
        access: keywords and values that lead to it.
    """
    lines = {
        **access,
        "User": ACCOUNT,
        "HostKeyAlias": name,
        "IdentityFile": _quoted(state.ssh_folder / _KEY),
        "IdentitiesOnly": "yes",
        # The machine makes its key at its first boot; what it has then is what it must have from then on.
        "StrictHostKeyChecking": "accept-new",
        "UserKnownHostsFile": _quoted(state.ssh_folder / "known_hosts"),
        "ConnectTimeout": str(_CONNECT_SECONDS),
        "ServerAliveInterval": str(_CONNECT_SECONDS),
        "LogLevel": "ERROR",
    }
    return f"Host {name} {hostname}\n" + "".join(f"    {key} {value}\n" for key, value in lines.items())


def _quoted(path: Path) -> str:
    text = str(path).replace("%", "%%")
    if '"' in text or "\n" in text:
        raise UserError(f"{path}: OpenSSH takes no such path; give another --state")
    return f'"{text}"'


def command(state: State, node: LocalNode, arguments: Sequence[str] = (), *, terminal: bool = False) -> list[str]:
    """Returns the command line of ssh to a node.

    Args:
        state: of the deployment.
        node: to log in to.
        arguments: the remote command, whose words ssh joins by blanks; none for a shell.
        terminal: whether a person sits at a terminal, who may answer questions.
    """
    options = [] if terminal else ["-T", "-o", "BatchMode=yes"]
    return [find_ssh(), "-F", str(state.ssh_folder / _CONFIG), *options, node.name, *arguments]


def find_ssh() -> str:
    """Returns the path of OpenSSH's client.

    Raises:
        UserError: there is none.
    """
    path = shutil.which("ssh")
    if path is None:
        raise UserError("ssh: not found; install it (Debian: openssh-client)")
    return path


def run(
    state: State, node: LocalNode, arguments: Sequence[str], timeout: float, script: str = ""
) -> subprocess.CompletedProcess[str]:
    """Runs a command on a node.

    Args:
        state: of the deployment.
        node: to run it on.
        arguments: the remote command.
        timeout: time limit, in seconds.
        script: its standard input.

    Returns:
        The result; the status is 255 if the node cannot be reached, or does not answer in time.
    """
    line = command(state, node, arguments)
    try:
        return subprocess.run(
            line, input=script, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(line, 255, "", f"no answer within {timeout:g} s")
