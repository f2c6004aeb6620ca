"""The folder of a deployment on this machine: what is known of it, its disks, keys, sockets and logs.

lock                    held while a command changes the deployment; a folder without it is not a deployment's
upgrade.lock            held while an upgrade rolls out; machines may be stopped and started meanwhile
deployment.json         the nodes, with the ports of this machine that lead to theirs
disk.img                the disk that all machines begin with
ssh/                    the key that logs in, the keys of the machines, and a configuration for ssh
link.sock, link.pid, link.log
NODE/                   a folder for each node; see machine.py

No other user can enter it: there are private keys in it, and sockets that lead to the machines.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from testnet.inventory.deployment import Deployment, Node
from tools.core.errors import UserError
from tools.core.folders import private_folder
from tools.core.outputs import replacing, write_all

HOST = "127.0.0.1"
PORTS = {
    "ssh": 22,
    "dashboard": 7070,
    "replica_metrics": 9090,
    "orchestrator_metrics": 9091,
    "node_exporter": 9100,
    "journal": 19531,
}
"""Ports of a node that ports of this machine lead to. The replica's own is at the node's address on the link alone."""

UPGRADE_LOCK = "upgrade.lock"

_LOCK = "lock"
_PROJECT = "rules_icos"
_FORMAT = 1
_FILE = "deployment.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalNode:
    """A node as it was deployed.

    Attributes:
        name: of the node.
        hostname: its host name.
        subnet: index of its subnet; None if it is in none.
        index: its number.
        address: its IPv6 address, with the length of the prefix.
        mac: MAC address of its card on the link.
        memory_mib: memory, in MiB.
        cores: number of processors.
        disk_gb: size of the disk, in GiB.
        ports: ports of 127.0.0.1, by the names in PORTS.
    """

    name: str
    hostname: str
    subnet: int | None
    index: int
    address: str
    mac: str
    memory_mib: int
    cores: int
    disk_gb: int
    ports: dict[str, int]

    @property
    def ip(self) -> str:
        """The address without the length of the prefix."""
        return self.address.partition("/")[0]


class State:
    """The folder of a deployment."""

    def __init__(self, root: Path, name: str) -> None:
        """Uses a folder, which need not exist.

        Args:
            root: the folder of all deployments.
            name: of the deployment.
        """
        self.name = name
        self.folder = root / name

    def node_folder(self, node: LocalNode) -> Path:
        """Returns the folder of a node."""
        return self.folder / node.name

    @property
    def disk(self) -> Path:
        """The disk that all machines begin with."""
        return self.folder / "disk.img"

    @property
    def ssh_folder(self) -> Path:
        """The folder for SSH."""
        return self.folder / "ssh"

    @property
    def link_pid(self) -> Path:
        """The file that names the process of the link."""
        return self.folder / "link.pid"

    def make(self) -> None:
        """Makes the folder, which nobody else can enter.

        Raises:
            UserError: it can't be made, other users could exchange it, or it has files that are not a deployment's.
        """
        try:
            self._check_own()
            private_folder(self.folder)
            os.chmod(self.folder, 0o700)
        except OSError as error:
            raise UserError(f"{self.folder}: cannot be made: {error.strerror}; give another --state") from error

    def _check_own(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            names = os.listdir(self.folder)
            if names and _LOCK not in names:
                raise UserError(f"{self.folder}: has files that are not a deployment's; give another --state")

    def nodes(self) -> list[LocalNode]:
        """Returns the nodes; none if nothing is deployed.

        Raises:
            UserError: the file cannot be read, or was written by another version of this program.
        """
        path = self.folder / _FILE
        try:
            values = json.loads(path.read_bytes())
            if values["format"] != _FORMAT:
                raise UserError(f"{path}: is of another version of this program; end the deployment with that one")
            return [LocalNode(**each) for each in values["nodes"]]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path}: is damaged; remove the deployment with icos_destroy") from error

    def deployed_nodes(self) -> list[LocalNode]:
        """Returns the nodes; see `nodes`.

        Raises:
            UserError: nothing is deployed.
        """
        nodes = self.nodes()
        if not nodes:
            raise UserError(f"{self.name}: is not deployed here; start it with icos_deploy ({self.folder} is empty)")
        return nodes

    def write_nodes(self, nodes: list[LocalNode]) -> None:
        """Writes the nodes."""
        text = json.dumps({"format": _FORMAT, "nodes": [asdict(node) for node in nodes]}, indent=2)
        with replacing(self.folder / _FILE, secret=True) as file:
            write_all(file, f"{text}\n".encode())

    @contextlib.contextmanager
    def locked(self, name: str = _LOCK) -> Iterator[None]:
        """Keeps other commands from changing the deployment; makes the folder.

        Args:
            name: of the lock's file; UPGRADE_LOCK keeps away other upgrades alone.

        Raises:
            UserError: another command changes it.
        """
        busy = f"{self.name}: another command changes this deployment; wait for its end"
        self.make()
        path = self.folder / name
        try:
            file = path.open("ab")
        except FileNotFoundError as error:
            raise UserError(busy) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise UserError(busy) from error
            # Another command may have removed the file, with the deployment, before it was locked.
            if os.fstat(file.fileno()).st_nlink == 0:
                raise UserError(busy)
            yield

    def remove(self) -> None:
        """Removes the folder with everything in it, and the folder of all deployments if that is empty then.

        The lock is removed last: what an interrupt leaves is still a deployment's folder.
        """
        for path in sorted(self.folder.iterdir(), key=lambda path: path.name == _LOCK):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.folder.rmdir()
        root = self.folder.parent
        with contextlib.suppress(OSError):  # there are other deployments in it
            root.rmdir()
            if root.parent.name == _PROJECT:
                root.parent.rmdir()


def default_root() -> Path:
    """Returns the folder of all deployments of this user (XDG Base Directory Specification: state)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return Path(base if os.path.isabs(base) else Path.home() / ".local/state") / _PROJECT / "testnet"


def choose_node(nodes: list[LocalNode], name: str, deployment: str) -> LocalNode:
    """Returns the node of a name; the deployment's name in it may be left out.

    Raises:
        UserError: there is no such node.
    """
    for node in nodes:
        if name in (node.name, node.hostname, node.name.removeprefix(f"{deployment}.")):
            return node
    raise UserError(f"{name}: is no node of {deployment}; there are {', '.join(node.name for node in nodes)}")


def planned(deployment: Deployment) -> list[LocalNode]:
    """Returns the nodes of an inventory, without ports."""
    return [_planned(node) for node in deployment.nodes]


def _planned(node: Node) -> LocalNode:
    return LocalNode(
        name=node.name,
        hostname=node.hostname,
        subnet=node.subnet,
        index=node.index,
        address=str(node.address),
        mac=node.mac,
        memory_mib=node.host.memory_mib,
        cores=node.host.cores,
        disk_gb=node.host.disk_gb,
        ports={},
    )


def with_free_ports(node: LocalNode, nodes: Sequence[LocalNode]) -> LocalNode:
    """Returns a node with ports that no program uses now: its own if it has some and they are free, else other ones.

    Args:
        node: whose machine does not run.
        nodes: whose ports it is not to get.
    """
    if node.ports and all(is_free(port) for port in node.ports.values()):
        return node
    taken = {port for each in nodes for port in each.ports.values()}
    return dataclasses.replace(node, ports=dict(zip(PORTS, free_ports(len(PORTS), taken), strict=True)))


def free_ports(count: int, taken: Collection[int] = ()) -> list[int]:
    """Returns different ports of the loopback interface that no program uses now, and that are not in `taken`."""
    found: list[int] = []
    with contextlib.ExitStack() as open_sockets:
        while len(found) < count:
            server = open_sockets.enter_context(socket.create_server((HOST, 0)))
            port = int(server.getsockname()[1])
            if port not in taken:
                found.append(port)
    return found


def is_free(port: int) -> bool:
    """Returns whether a port of the loopback interface is used by no program."""
    try:
        socket.create_server((HOST, port)).close()
    except OSError:
        return False
    return True
