"""Reads ic.json5, the configuration of orchestrator, replica and crypto service.

Stricter than the programs of a release, which have defaults: every key that they need on a node must be there, so that
a mistake of the template is found. Further keys are ignored, as they do.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from standins import json5
from standins.problems import StandInError

_T = TypeVar("_T")
_MARKS = ("{{", "}}")

ADAPTERS = ("bitcoin_mainnet", "bitcoin_testnet", "https_outcalls")


@dataclass(frozen=True, slots=True)
class Rule:
    """A firewall rule, before the templates."""

    ipv4_prefixes: tuple[str, ...]
    ipv6_prefixes: tuple[str, ...]
    ports: tuple[int, ...]
    action: int
    comment: str


@dataclass(frozen=True, slots=True)
class FirewallConfig:
    """The section `firewall`."""

    config_file: str
    file_template: str
    ipv4_rule_template: str
    ipv6_rule_template: str
    ipv4_user_output_rule_template: str
    ipv6_user_output_rule_template: str
    default_rules: tuple[Rule, ...]
    ports_for_node_whitelist: tuple[int, ...]
    ports_for_http_adapter_blacklist: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Config:
    """What the stand-ins use of ic.json5. Addresses are pairs of host and port."""

    endpoints: Mapping[str, tuple[str, int]]
    local_store: Path
    state_root: Path
    consensus_pool: Path
    backup_spool: Path
    crypto_root: Path
    vault: Path
    adapters: Mapping[str, Path]
    firewall: FirewallConfig
    nns_urls: tuple[str, ...]
    nns_public_key: Path
    signing_keys: tuple[Path, ...]


class Section:
    """An object of the file, which knows its place for messages."""

    def __init__(self, values: Any, place: str) -> None:
        if not isinstance(values, dict):
            raise StandInError(f"{place}: must be an object")
        self._values = values
        self._place = place

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def get(self, key: str, kind: type[_T]) -> _T:
        """Returns the value of a key, which must be there and of a type."""
        if key not in self._values:
            raise StandInError(f"{self._place}.{key}: is missing")
        value = self._values[key]
        if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
            raise StandInError(f"{self._place}.{key}: must be of type {kind.__name__}, not {value!r}")
        if isinstance(value, str) and any(mark in value for mark in _MARKS):
            raise StandInError(f"{self._place}.{key}: has a mark that was not filled in: {value!r}")
        return value

    def section(self, key: str) -> Section:
        """Returns an inner object."""
        return Section(self.get(key, dict), f"{self._place}.{key}")

    def path(self, key: str) -> Path:
        """Returns an absolute path."""
        value = Path(self.get(key, str))
        if not value.is_absolute():
            raise StandInError(f"{self._place}.{key}: must be an absolute path, not {str(value)!r}")
        return value

    def items(self, key: str, kind: type[_T]) -> tuple[_T, ...]:
        """Returns a list whose items have a type."""
        values = self.get(key, list)
        if not all(isinstance(value, kind) and not isinstance(value, bool) for value in values):
            raise StandInError(f"{self._place}.{key}: must be a list of {kind.__name__}")
        return tuple(values)

    def ip(self, key: str) -> str:
        """Returns an IP address."""
        try:
            return str(ipaddress.ip_address(self.get(key, str)))
        except ValueError as error:
            raise StandInError(f"{self._place}.{key}: {error}") from error

    def address(self, key: str) -> tuple[str, int]:
        """Returns an IP address and a port, of `[IPV6]:PORT` or `IPV4:PORT`."""
        try:
            return socket_address(self.get(key, str))
        except ValueError as error:
            raise StandInError(f"{self._place}.{key}: {error}") from error


def socket_address(text: str) -> tuple[str, int]:
    """Returns the IP address and the port of `[IPV6]:PORT` or `IPV4:PORT`.

    Raises:
        ValueError: the text has another form.
    """
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isdecimal() or int(port) > 0xFFFF or (":" in bare) is not (bare != host):
        raise ValueError(f"{text!r} is not IPV4:PORT or [IPV6]:PORT")
    return str(ipaddress.ip_address(bare)), int(port)


def read_config(path: Path) -> Config:
    """Reads ic.json5.

    Raises:
        StandInError: it cannot be read, or a value is missing or wrong; the message has its place.
    """
    try:
        root = Section(json5.parse(path.read_text(encoding="utf-8")), str(path))
    except (OSError, ValueError) as error:
        raise StandInError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    transport, routing, pool = (root.section(key) for key in ("transport", "message_routing", "artifact_pool"))
    crypto, registration = root.section("crypto"), root.section("registration")
    _check_rest(root, pool)
    return Config(
        endpoints={
            "p2p": (transport.ip("node_ip"), transport.get("listening_port", int)),
            "api": root.section("http_handler").address("listen_addr"),
            "metrics": root.section("metrics").section("exporter").address("http"),
            "xnet": (routing.ip("xnet_ip_addr"), routing.get("xnet_port", int)),
        },
        local_store=root.section("registry_client").path("local_store"),
        state_root=root.section("state_manager").path("state_root"),
        consensus_pool=pool.path("consensus_pool_path"),
        backup_spool=pool.section("backup").path("spool_path"),
        crypto_root=crypto.path("crypto_root"),
        vault=_vault(crypto),
        adapters={name: root.section("adapters_config").path(f"{name}_uds_path") for name in ADAPTERS},
        firewall=_firewall(root.section("firewall")),
        nns_urls=tuple(registration.get("nns_url", str).split(",")),
        nns_public_key=registration.path("nns_pub_key_pem"),
        signing_keys=tuple(
            registration.path(key) for key in ("test_key_pem", "node_operator_pem") if key in registration
        ),
    )


def _check_rest(root: Section, pool: Section) -> None:
    """Checks keys that are marks of the template, or that the programs of a release need, but no stand-in uses."""
    for key in ("retention_time_secs", "purging_interval_secs"):
        pool.section("backup").get(key, int)
    for key in ("ingress_pool_max_count", "ingress_pool_max_bytes"):
        pool.get(key, int)
    for name in ADAPTERS:
        root.section("adapters_config").path(f"{name}_uds_metrics_path")
    root.section("logger").items("debug_overrides", str)
    if "malicious_behaviour" not in root:
        raise StandInError("malicious_behaviour: is missing")


def _vault(crypto: Section) -> Path:
    """Returns the crypto service's socket: {unix_socket: PATH}, or {unix_socket: {logic: PATH, metrics: PATH}}."""
    kind = crypto.section("csp_vault_type")
    try:
        return kind.path("unix_socket")
    except StandInError:
        inner = kind.section("unix_socket")
        inner.path("metrics")
        return inner.path("logic")


def _firewall(section: Section) -> FirewallConfig:
    return FirewallConfig(
        config_file=section.get("config_file", str),
        file_template=section.get("file_template", str),
        ipv4_rule_template=section.get("ipv4_rule_template", str),
        ipv6_rule_template=section.get("ipv6_rule_template", str),
        ipv4_user_output_rule_template=section.get("ipv4_user_output_rule_template", str),
        ipv6_user_output_rule_template=section.get("ipv6_user_output_rule_template", str),
        default_rules=read_rules(section.get("default_rules", list), "firewall.default_rules"),
        ports_for_node_whitelist=section.items("ports_for_node_whitelist", int),
        ports_for_http_adapter_blacklist=section.items("ports_for_http_adapter_blacklist", int),
    )


def read_rules(values: list[Any], place: str) -> tuple[Rule, ...]:
    """Returns the rules of a list, as `default_rules` of the section `firewall` has them."""
    return tuple(_rule(Section(each, f"{place}[{number}]")) for number, each in enumerate(values))


def _rule(section: Section) -> Rule:
    section.get("direction", int)
    return Rule(
        ipv4_prefixes=section.items("ipv4_prefixes", str),
        ipv6_prefixes=section.items("ipv6_prefixes", str),
        ports=section.items("ports", int),
        action=section.get("action", int),
        comment=section.get("comment", str),
    )
