"""A deployment: its nodes, subnets and physical hosts, from the groups of an inventory.

    [nns]                   nodes of the root subnet, which has the index 0
    [subnet_N]              nodes of subnet N, from 1 on
    [subnet_unassigned]     nodes that are in no subnet
    [nodes:children]        names the groups above that there are
    [physical_hosts]        the hosts that the nodes run on

Nodes are named `DEPLOYMENT.SUBNET.NODE`: SUBNET is the index of the subnet or `x`, NODE a number that no other node of
the deployment has. NODE_VARIABLES and HOST_VARIABLES list the variables.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from testnet.inventory import values
from testnet.inventory.addresses import local_prefix, mac_address, slaac
from testnet.inventory.ini import Entry, Group, Value, Variable, parse
from tools.core.errors import UserError

_T = TypeVar("_T")

HOSTS = "physical_hosts"
NNS = "nns"
UNASSIGNED = "subnet_unassigned"
_SUBNET = re.compile(r"subnet_([1-9][0-9]{0,3})")
_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
"""A label (RFC 1123, section 2.1)."""

NODE_VARIABLES = ("ic_host", "ipv6_address", "mac_address", "node_index", "subnet_index", "use_hsm", "ansible_host")
HOST_VARIABLES = (
    *("ansible_connection", "ansible_host", "ansible_port", "ansible_user", "ansible_become"),
    *(
        "ic_libvirt_uri",
        "ic_folder",
        "ic_bridge",
        "ic_ssh_port",
        "ipv6_prefix",
        "ic_disk_gb",
        "ic_cores",
        "ic_memory_gb",
    ),
)
"""Of a line of [physical_hosts], or in [physical_hosts:vars] for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A physical host, and what each node on it gets.

    Attributes:
        name: in the inventory.
        is_local: whether it is the machine that deploys (`ansible_connection=local`).
        address: name or address for SSH.
        port: for SSH; None for SSH's default.
        user: for SSH; None for SSH's default.
        become: whether libvirt is used as root, by sudo.
        libvirt_uri: of the libvirt that runs its nodes.
        folder: for the files of its nodes, an absolute path.
        bridge: that the network cards of its nodes are at; empty for QEMU's user-mode network.
        ssh_port: without a bridge, the port of the host's 127.0.0.1 that leads to SSH of its first node; the next ones
            lead to the next nodes.
        prefix: the network of its nodes.
        disk_gb: size of a node's disk, in GiB.
        cores: number of processors of a node.
        memory_mib: memory of a node, in MiB.
    """

    name: str
    is_local: bool
    address: str
    port: int | None
    user: str | None
    become: bool
    libvirt_uri: str
    folder: str
    bridge: str
    ssh_port: int
    prefix: ipaddress.IPv6Network
    disk_gb: int
    cores: int
    memory_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node.

    Attributes:
        name: `DEPLOYMENT.SUBNET.NODE`.
        group: its group in the inventory.
        index: number of the node.
        subnet: index of its subnet; None if it is in none.
        host: that it runs on.
        address: its IPv6 address, with the length of the prefix.
        mac: its MAC address.
        use_hsm: whether its keys are in an HSM.
    """

    name: str
    group: str
    index: int
    subnet: int | None
    host: Host
    address: ipaddress.IPv6Interface
    mac: str
    use_hsm: bool

    @property
    def hostname(self) -> str:
        """The host name, a single label: names of nodes have dots."""
        return self.name.replace(".", "-")


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment: its name, the file that describes it, its nodes and physical hosts, and the file's groups."""

    name: str
    origin: str
    nodes: tuple[Node, ...]
    hosts: tuple[Host, ...]
    groups: Mapping[str, Group]

    def node(self, name: str) -> Node:
        """Returns the node of a name; the deployment's name in it may be left out.

        Raises:
            UserError: there is no such node.
        """
        for node in self.nodes:
            if name in (node.name, node.name.removeprefix(f"{self.name}.")):
                return node
        raise UserError(f"{name}: is no node of {self.origin}; there are {', '.join(each.name for each in self.nodes)}")


def read(path: Path, name: str) -> Deployment:
    """Returns the deployment that a file describes.

    Args:
        path: the inventory.
        name: of the deployment.

    Raises:
        UserError: the file cannot be read or is invalid; the message begins with file and line.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8"
        raise UserError(f"{path}: cannot be read: {reason}") from error
    return build(text, str(path), name)


def build(text: str, origin: str, name: str) -> Deployment:
    """Returns the deployment that the text of an inventory describes; see `read`."""
    groups = parse(text, origin)
    try:
        _check_groups(groups)
        hosts = {host.name: host for host in _hosts(groups, name)}
        nodes = tuple(_nodes(groups, hosts, name))
        if not nodes:
            raise UserError("has no nodes; add one to [nns], such as " + f'`{name}.0.0 ic_host="HOST"`')
    except _LineError as error:
        raise UserError(f"{origin}:{error.line}: {error}") from error
    except UserError as error:
        raise UserError(f"{origin}: {error}") from error
    return Deployment(name, origin, nodes, tuple(hosts.values()), groups)


class _LineError(UserError):
    """An error in a line."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def node_groups(groups: Mapping[str, Group]) -> list[str]:
    """Returns the names of the groups that have nodes, in their order."""
    return [name for name in groups if name in (NNS, UNASSIGNED) or _SUBNET.fullmatch(name)]


def _check_groups(groups: Mapping[str, Group]) -> None:
    known = node_groups(groups)
    for name, group in groups.items():
        if name not in (*known, HOSTS, "nodes"):
            raise _LineError(
                group.line, f"the group {name} is not known; there are nns, subnet_N, subnet_unassigned and {HOSTS}"
            )
        if name != HOSTS and group.variables:
            line = next(iter(group.variables.values())).line
            raise _LineError(line, f"the group {name} has no variables; there are some in [{HOSTS}:vars]")
        if name != "nodes" and group.children is not None:
            raise _LineError(group.line, f"the group {name} has hosts, not groups; remove [{name}:children]")
    nodes = groups.get("nodes")
    if nodes is None or nodes.children is None or nodes.hosts is not None:
        line = nodes.line if nodes else 1
        raise _LineError(line, "the section [nodes:children] is needed, with the groups of nodes; [nodes] is not known")
    named = {entry.name: entry.line for entry in nodes.children}
    for name, line in named.items():
        if name not in known or groups[name].hosts is None:
            raise _LineError(line, f"{name}: there is no section [{name}] with nodes")
    for name in known:
        if name not in named:
            raise _LineError(groups[name].line, f"the group {name} is missing in [nodes:children]")


def _hosts(groups: Mapping[str, Group], deployment: str) -> Iterator[Host]:
    group = groups.get(HOSTS)
    if group is None or not group.hosts:
        raise UserError(f"names no physical hosts; add a section [{HOSTS}] with the hosts of the nodes")
    _check_known(group.variables, HOST_VARIABLES, f"[{HOSTS}:vars]")
    seen: dict[str, int] = {}
    for entry in group.hosts:
        _check_new(seen, entry.name, entry.line, "the host")
        _check_known(entry.variables, HOST_VARIABLES, entry.name)
        yield _host(_Values(entry, {**group.variables, **entry.variables}), deployment)


def _host(given: _Values, deployment: str) -> Host:
    connection = given.get("ansible_connection", "ssh", values.one_of("ssh", "local"))
    return Host(
        name=given.entry.name,
        is_local=connection == "local",
        address=given.get("ansible_host", given.entry.name, values.text),
        port=given.get("ansible_port", None, values.number(1, 65535)),
        user=given.get("ansible_user", None, values.text),
        become=given.get("ansible_become", False, values.truth),
        libvirt_uri=given.get("ic_libvirt_uri", "qemu:///system", values.text),
        folder=given.get("ic_folder", "/var/local/ic", values.absolute_path),
        bridge=given.get("ic_bridge", "", values.bridge),
        ssh_port=given.get("ic_ssh_port", 22000, values.number(1, 65000)),
        prefix=given.get("ipv6_prefix", local_prefix(deployment), values.prefix),
        disk_gb=given.get("ic_disk_gb", 100, values.number(50, 1 << 20)),
        cores=given.get("ic_cores", 4, values.number(1, 1024)),
        memory_mib=given.get("ic_memory_gb", 16 << 10, values.memory),
    )


def _nodes(groups: Mapping[str, Group], hosts: Mapping[str, Host], deployment: str) -> Iterator[Node]:
    names: dict[str, int] = {}
    taken: dict[tuple[str, object], int] = {}
    for group in node_groups(groups):
        for entry in groups[group].hosts or []:
            _check_new(names, entry.name, entry.line, "the node")
            node = _node(entry, group, hosts, deployment)
            for what, value in (("index", node.index), ("address", node.address.ip), ("MAC address", node.mac)):
                key = (what, value)
                if key in taken:
                    line = taken[key]
                    raise _LineError(entry.line, f"{node.name}: the node of line {line} has the {what} {value}, too")
                taken[key] = entry.line
            yield node


def _node(entry: Entry, group: str, hosts: Mapping[str, Host], deployment: str) -> Node:
    _check_known(entry.variables, NODE_VARIABLES, entry.name)
    given = _Values(entry, entry.variables)
    subnet = None if group == UNASSIGNED else 0 if group == NNS else int(group.removeprefix("subnet_"))
    shown = "x" if subnet is None else str(subnet)
    match = re.fullmatch(rf"{re.escape(deployment)}\.{shown}\.(0|[1-9][0-9]{{0,5}})", entry.name)
    if match is None:
        raise _LineError(entry.line, f"{entry.name}: nodes of [{group}] are named {deployment}.{shown}.NUMBER")
    if not _HOST_NAME.fullmatch(entry.name.replace(".", "-")):
        raise _LineError(entry.line, f"{entry.name}: is no host name with `-` for `.`: 63 letters, digits and `-`")
    index = int(match[1])
    given.get("node_index", None, values.equal(index))
    given.get("subnet_index", subnet, values.equal(subnet))
    if "ic_host" not in entry.variables:
        raise _LineError(entry.line, f'{entry.name}: lacks ic_host="HOST", the physical host that it runs on')
    host = given.get("ic_host", None, _known_host(hosts))
    assert host is not None
    mac = given.get("mac_address", mac_address(deployment, entry.name), values.mac_address)
    default = ipaddress.IPv6Interface(f"{slaac(host.prefix, mac)}/{host.prefix.prefixlen}")
    return Node(
        name=entry.name,
        group=group,
        index=index,
        subnet=subnet,
        host=host,
        address=given.get("ipv6_address", default, values.address(host.prefix)),
        mac=mac,
        use_hsm=given.get("use_hsm", False, values.truth),
    )


@dataclass(frozen=True)
class _Values:
    """The variables of a line, and of its group."""

    entry: Entry
    variables: Mapping[str, Variable]

    def get(self, name: str, default: _T, check: Callable[[Value], _T]) -> _T:
        """Returns the value of a variable; `check` raises a ValueError that says what it must be."""
        variable = self.variables.get(name)
        if variable is None:
            return default
        try:
            return check(variable.value)
        except ValueError as error:
            raise _LineError(
                variable.line, f"{self.entry.name}: {name} must be {error}, not {variable.value!r}"
            ) from error


def _check_known(variables: Mapping[str, Variable], known: tuple[str, ...], where: str) -> None:
    for name, variable in variables.items():
        if name not in known:
            raise _LineError(variable.line, f"{where}: the variable {name} is not known; there are {', '.join(known)}")


def _check_new(seen: dict[str, int], name: str, line: int, what: str) -> None:
    if name in seen:
        raise _LineError(line, f"{what} {name} is there already, in line {seen[name]}")
    seen[name] = line


def _known_host(hosts: Mapping[str, Host]) -> Callable[[Value], Host]:
    def check(value: Value) -> Host:
        if str(value) not in hosts:
            raise ValueError(f"a host of [{HOSTS}]")
        return hosts[str(value)]

    return check
