"""The options of build-bootstrap-config-image.sh that become lines of configuration files, and their checks.

The options have the names of all the tools that have written such media, old spellings included. A value that the
machine would ignore, or refuse, is refused here, by the checks of the machine itself: a medium is imported but once.
"""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from guestos import adapter_config, log_shipping, replica_config

from tools.core.errors import UserError
from tools.core.json_file import parse_json

_MAX_NUMBER = 2**64 - 1
_SHOWN = 60


def shown(text: str) -> str:
    """Returns a text for a message, in quotes and not too long."""
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…")


def _text(value: str) -> str:
    if not value.isprintable():
        raise UserError("must be one line of text")
    return value


def _words(value: str) -> str:
    return " ".join(re.split(r"[\s,]+", _text(value).strip(" ,")))


def _addresses(value: str) -> str:
    """Checks a list of addresses of hosts, optionally with ports."""
    for address in value.split(","):
        if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", address):
            raise UserError(f"{shown(address)} is not an address, such as 192.0.2.1 or [2001:db8::1]:8333")
    return value


def _number(value: str) -> str:
    if not re.fullmatch("[0-9]{1,20}", value, re.ASCII) or int(value) > _MAX_NUMBER:
        raise UserError(f"{shown(value)} is not a number from 0 to 2^64-1")
    return value


def _url(schemes: tuple[str, ...]) -> Callable[[str], str]:
    def check(value: str) -> str:
        try:
            parts = urllib.parse.urlsplit(value)
            known = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            known = False
        if not known or not value.isprintable() or " " in value:
            raise UserError(f"{shown(value)} is not a URL that begins with {' or '.join(s + '://' for s in schemes)}")
        return value

    return check


def _urls(value: str) -> str:
    """Checks a list of URLs; early tools separated them by blanks."""
    check = _url(("http", "https"))
    return ",".join(check(url) for url in re.split("[ ,]+", value.strip(" ,")))


def _parsed(value: str, what: str) -> object:
    try:
        return parse_json(_text(value), "")
    except UserError as error:
        raise UserError(f"{shown(value)} is not {what}") from error


def _names(value: str) -> str:
    what = 'a list of names in JSON, such as ["ic_consensus::consensus"]'
    parsed = _parsed(value, what)
    if not isinstance(parsed, list) or not all(isinstance(name, str) for name in parsed):
        raise UserError(f"{shown(value)} is not {what}")
    return value


def _object(value: str) -> str:
    if not isinstance(_parsed(value, "an object in JSON"), dict):
        raise UserError(f"{shown(value)} is not an object in JSON")
    return value


def _read_as(read: Callable[[str], object], check: Callable[[str], str]) -> Callable[[str], str]:
    """Returns a check of a value and of how a machine reads what is written for it.

    Args:
        read: reads the value on a machine; raises a ValueError if it is invalid.
        check: returns the value to write, or raises a UserError.
    """

    def both(value: str) -> str:
        written = check(value)
        try:
            read(written)
        except ValueError as error:
            raise UserError(str(error)) from error
        return written

    return both


def _read_by_replica(mark: str, check: Callable[[str], str]) -> Callable[[str], str]:
    return _read_as(functools.partial(replica_config.check, mark), check)


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that becomes a line of a file.

    Attributes:
        file: in the archive.
        key: of the line.
        placeholder: stands for the value in --help.
        help: what the value is; empty if nothing on a machine reads it, and --help doesn't offer it.
        check: returns the value to write, or raises a UserError.
        aliases: other spellings of the option.
        option: the option's name without hyphens; by default the key.
    """

    file: str
    key: str
    placeholder: str = "VALUE"
    help: str = ""
    check: Callable[[str], str] = _text
    aliases: tuple[str, ...] = ()
    option: str = ""

    @property
    def name(self) -> str:
        """Name of the option, without hyphens."""
        return self.option or self.key


_NETWORK = (
    Setting("network.conf", "ipv6_address", "ADDRESS[/PREFIX]", "of the machine; router advertisements are not needed"),
    Setting("network.conf", "ipv6_gateway", "ADDRESS", "of the router; needs --ipv6_address"),
    Setting(
        "network.conf",
        "name_servers",
        "ADDRESSES",
        "of name servers, separated by spaces or commas",
        aliases=("ipv6_name_servers",),
    ),
    Setting("network.conf", "ipv6_prefixes"),
    Setting("network.conf", "hostname", "NAME", "of the machine; by default from its address"),
    Setting("network.conf", "ipv4_address", "ADDRESS/PREFIX", "of the machine, also for the replica's configuration"),
    Setting("network.conf", "ipv4_gateway", "ADDRESS", "of the router; needs --ipv4_address"),
    Setting("network.conf", "domain", "NAME", "domain name of the node, which it is registered with"),
)

_REPLICA = (
    Setting(
        "nns.conf",
        "nns_url",
        "URLS",
        "of NNS nodes, separated by commas",
        _read_by_replica("nns_url", _urls),
        ("nns_urls",),
    ),
    Setting(
        "log.conf",
        "replica_log_debug_overrides",
        "JSON",
        "a list of the modules of the replica that log at debug level",
        _read_by_replica("replica_log_debug_overrides", _names),
        ("log_debug_overrides",),
    ),
    Setting(
        "backup.conf",
        "backup_retention_time_secs",
        "SECONDS",
        "how long backups of consensus artifacts are kept",
        _number,
        option="backup_retention_time",
    ),
    # The programs of the releases read this spelling.
    Setting(
        "backup.conf",
        "backup_puging_interval_secs",
        "SECONDS",
        "how often old backups are looked for",
        _number,
        ("backup_puging_interval",),
        option="backup_purging_interval",
    ),
    Setting(
        "malicious_behavior.conf",
        "malicious_behavior",
        "JSON",
        "how the replica is to misbehave, for tests",
        _read_by_replica("malicious_behavior", _object),
    ),
    Setting(
        "query_stats.conf",
        "query_stats_epoch_length",
        "NUMBER",
        "how many rounds statistics of queries are collected for",
        _number,
    ),
    Setting(
        "jaeger_addr.conf",
        "jaeger_addr",
        "URL",
        "where the replica sends traces to",
        _read_by_replica("jaeger_addr", _url(("http", "https"))),
    ),
    Setting("reward.conf", "node_reward_type"),
)

_SERVICES = (
    Setting(
        "socks_proxy.conf",
        "socks_proxy",
        "URL",
        "of a SOCKS proxy for the adapters to other networks",
        _read_as(adapter_config.word, _url(("socks5", "socks5h"))),
    ),
    Setting(
        "bitcoind_addr.conf",
        "bitcoind_addr",
        "ADDRESSES",
        "of nodes of a private Bitcoin network, separated by commas, for tests",
        _addresses,
    ),
    Setting(
        "filebeat.conf",
        "elasticsearch_hosts",
        "HOSTS",
        "where logs are sent to, separated by spaces",
        _read_as(log_shipping.hosts, _words),
    ),
    Setting(
        "filebeat.conf",
        "elasticsearch_tags",
        "TAGS",
        "what the logs are tagged with, separated by spaces",
        _read_as(log_shipping.tags, _words),
    ),
    Setting(
        "journalbeat.conf",
        "journalbeat_hosts",
        "HOSTS",
        "like --elasticsearch_hosts, which comes first, as early releases have it",
        _read_as(log_shipping.hosts, _words),
    ),
    Setting(
        "journalbeat.conf",
        "journalbeat_tags",
        "TAGS",
        "like --elasticsearch_tags, for --journalbeat_hosts",
        _read_as(log_shipping.tags, _words),
    ),
)

SETTINGS = _NETWORK + _REPLICA + _SERVICES
