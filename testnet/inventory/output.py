"""An inventory in the forms that other programs read."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from testnet.inventory.deployment import HOSTS, Deployment, Node
from testnet.inventory.ini import Value, Variable

JsonObject = dict[str, Any]


def ansible_list(deployment: Deployment) -> JsonObject:
    """Returns what `--list` of an inventory script prints (Ansible documentation, "Developing dynamic inventory")."""
    result: JsonObject = {"all": {"children": ["ungrouped", "nodes", HOSTS]}}
    for name, group in deployment.groups.items():
        entry: JsonObject = {}
        if group.hosts is not None:
            entry["hosts"] = [host.name for host in group.hosts]
        if group.children is not None:
            entry["children"] = [child.name for child in group.children]
        if group.variables:
            entry["vars"] = plain(group.variables)
        result[name] = entry
    names = [node.name for node in deployment.nodes] + [host.name for host in deployment.hosts]
    return result | {"_meta": {"hostvars": {name: host_variables(deployment, name) for name in names}}}


def host_variables(deployment: Deployment, name: str) -> JsonObject:
    """Returns the variables of a node or physical host, with those that were derived; what `--host` prints."""
    given: JsonObject = {}
    for group in deployment.groups.values():
        for entry in group.hosts or []:
            if entry.name == name:
                given = plain(entry.variables)
    for node in deployment.nodes:
        if node.name == name:
            given |= {
                "ipv6_address": str(node.address.ip),
                "mac_address": node.mac,
                "node_index": node.index,
                "subnet_index": node.subnet,
            }
    return given


def plain(variables: Mapping[str, Variable]) -> dict[str, Value]:
    """Returns variables without their places."""
    return {name: variable.value for name, variable in variables.items()}


def node_list(deployment: Deployment) -> str:
    """Returns names and addresses of the nodes, as YAML."""
    return "".join(f"{node.name}: '{node.address.ip}'\n" for node in deployment.nodes)


def media_json(deployment: Deployment) -> JsonObject:
    """Returns what a tool that writes bootstrap media needs to know."""
    centers: dict[str, JsonObject] = {}
    for node in deployment.nodes:
        name = node.host.name.partition("-")[0]
        center = centers.setdefault(
            name,
            {
                "name": name,
                "ipv6_prefix": _first_half(node.host.prefix),
                "ipv6_subnet": f"/{node.host.prefix.prefixlen}",
                "nodes": [],
                "boundary_nodes": [],
                "aux_nodes": [],
                "api_nodes": [],
            },
        )
        center["nodes"].append(_media_node(node))
    return {
        "deployment": deployment.name,
        "name_servers": [],
        "name_servers_fallback": [],
        "ipv4_name_servers": [],
        "elasticsearch_hosts": "",
        "elasticsearch_tags": "",
        "bn_vars": {},
        "datacenters": list(centers.values()),
    }


def _first_half(prefix: ipaddress.IPv6Network) -> str:
    """Returns the four groups of digits that a network of 64 bits has."""
    return ":".join(f"{int(group, 16):x}" for group in prefix.exploded.split(":")[:4])


def _media_node(node: Node) -> JsonObject:
    return {
        "hostname": node.name,
        "node_idx": node.index,
        "subnet_idx": node.subnet,
        "subnet_type": "root_subnet" if node.subnet == 0 else "app_subnet",
        "ipv6_address": str(node.address.ip),
        "use_hsm": node.use_hsm,
    }


def ssh_config(deployment: Deployment) -> str:
    """Returns a configuration for OpenSSH in which the nodes have their names, and their addresses (ssh_config(5))."""
    hosts = (f"Host {node.name}\n    HostName {node.address.ip}\n    User admin\n" for node in deployment.nodes)
    return "\n".join(hosts)
