"""Takes the place of the registry: one JSON document, which says what a node should be.

The document is the file stand-in-registry.json in `registry_client.local_store`, or is fetched from the NNS nodes of
`registration.nns_url`, at URL/stand-in/registry.json, and kept in that file. It has the keys

    registry_version            a number, which grows with each change
    subnet                      the subnet that the node is in; null for none, the default
    replica_version             {"version", "release_package_url", "release_package_sha256_hex"}; null for no upgrades,
                                the default
    ssh_keys                    {"readonly": [KEY, ...], "backup": [KEY, ...]}; by default none
    nodes                       IP addresses of all nodes; by default none
    public_ipv4_config          {"ip_addr", "prefix_length", "gateway_ip_addr": [ADDRESS]}; null for none, the default
    firewall_rules              rules as in `firewall.default_rules` of ic.json5; by default none

A node without a document is not registered. It registers by a POST to URL/stand-in/add_node.
"""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from standins.config import Config, Rule, Section, read_rules
from standins.problems import StandInError

FILE = "stand-in-registry.json"
_KEYS = {"registry_version", "subnet", "replica_version", "ssh_keys", "nodes", "public_ipv4_config", "firewall_rules"}
_ACCOUNTS = ("readonly", "backup")
_MOST_BYTES = 1 << 20
_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Release:
    """A version of the system, and the update image that installs it."""

    version: str
    url: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Ipv4:
    """The IPv4 address of the node, and its gateway; as in a release, texts that are not checked here."""

    address: str
    prefix_length: int
    gateway: str


@dataclass(frozen=True, slots=True)
class Registry:
    """What the document says."""

    version: int
    subnet: str | None
    release: Release | None
    ssh_keys: Mapping[str, tuple[str, ...]]
    nodes: tuple[str, ...]
    ipv4: Ipv4 | None
    rules: tuple[Rule, ...]


def parse_registry(text: str, place: str) -> Registry:
    """Returns what a document says.

    Raises:
        StandInError: it is invalid.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        raise StandInError(f"{place}: {error}") from error
    section = Section(values, place)
    unknown = set(values) - _KEYS
    if unknown:
        raise StandInError(f"{place}: has the unknown key {min(unknown)}")
    keys = section.section("ssh_keys") if "ssh_keys" in section else Section({}, place)
    return Registry(
        version=section.get("registry_version", int),
        subnet=section.get("subnet", str) if values.get("subnet") is not None else None,
        release=_release(section.section("replica_version")) if values.get("replica_version") is not None else None,
        ssh_keys={account: keys.items(account, str) if account in keys else () for account in _ACCOUNTS},
        nodes=section.items("nodes", str) if "nodes" in section else (),
        ipv4=_ipv4(section.section("public_ipv4_config")) if values.get("public_ipv4_config") is not None else None,
        rules=read_rules(section.get("firewall_rules", list), f"{place}.firewall_rules")
        if "firewall_rules" in section
        else (),
    )


def _release(section: Section) -> Release:
    return Release(
        section.get("version", str),
        section.get("release_package_url", str),
        section.get("release_package_sha256_hex", str),
    )


def _ipv4(section: Section) -> Ipv4:
    gateways = section.items("gateway_ip_addr", str)
    if not gateways:
        raise StandInError("public_ipv4_config.gateway_ip_addr: has no gateway")
    return Ipv4(section.get("ip_addr", str), section.get("prefix_length", int), gateways[0])


def local_registry(config: Config) -> Registry | None:
    """Returns the registry of the local store; None if there is none.

    Raises:
        StandInError: it cannot be read or is invalid.
    """
    path = config.local_store / FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StandInError(f"{path}: {error.strerror}") from error
    return parse_registry(text, str(path))


def replicate(config: Config) -> None:
    """Fetches the registry from the NNS, and keeps it if it is newer than that of the local store.

    Raises:
        StandInError: no NNS node has one, the public key of the NNS is missing, or the local store cannot be written.
    """
    try:
        config.nns_public_key.read_bytes()
    except OSError as error:
        raise StandInError(f"{config.nns_public_key}: {error.strerror}") from error
    text = _first(config, "stand-in/registry.json", None)
    known = local_registry(config)
    if known is not None and parse_registry(text, "the registry of the NNS").version <= known.version:
        return
    path = config.local_store / FILE
    new = path.with_name(f"{FILE}.new")
    try:
        new.write_text(text, encoding="utf-8")
        os.replace(new, path)
    except OSError as error:
        raise StandInError(f"{path}: cannot be written: {error.strerror}") from error


def register(config: Config, node_id: str, signer: str) -> None:
    """Asks the NNS to add the node.

    Args:
        config: has the node's endpoints.
        node_id: of the node.
        signer: what signs the request.

    Raises:
        StandInError: no NNS node accepts it.
    """
    endpoints: dict[str, Any] = {name: {"ip": ip, "port": port} for name, (ip, port) in config.endpoints.items()}
    request = {"node_id": node_id, "endpoints": endpoints, "signer": signer}
    _first(config, "stand-in/add_node", json.dumps(request).encode())


def _first(config: Config, path: str, body: bytes | None) -> str:
    """Returns the response of the first NNS node that has one."""
    errors = []
    for url in config.nns_urls:
        try:
            request = urllib.request.Request(f"{url.rstrip('/')}/{path}", data=body)
            with urllib.request.urlopen(request, timeout=_SECONDS) as response:
                text: str = response.read(_MOST_BYTES).decode()
        except (OSError, ValueError) as error:
            errors.append(f"{url}: {error}")
        else:
            return text
    raise StandInError(f"no NNS node responds: {'; '.join(errors)}")
