"""Writes the firewall rules: the templates of ic.json5, filled with the rules of the registry."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from standins.config import FirewallConfig, Rule
from standins.problems import StandInError

DISABLED = "/This/must/not/be/a/real/path"
"""The value of `config_file` that means that no rules are written."""

_ADAPTER_USER = "ic-http-adapter"
_ALLOW = 1
_ACTIONS = {_ALLOW: "accept", 3: "reject"}


def ruleset(config: FirewallConfig, rules: Sequence[Rule], nodes: Iterable[str]) -> str:
    """Returns the text for nft.

    Args:
        config: the section `firewall` of ic.json5.
        rules: those of the registry; if empty, `default_rules` apply.
        nodes: IP addresses of all nodes.
    """
    addresses = [ipaddress.ip_address(node) for node in nodes]
    ipv4 = tuple(str(address) for address in addresses if address.version == 4)
    ipv6 = tuple(str(address) for address in addresses if address.version != 4)
    whitelist = Rule(ipv4, ipv6, config.ports_for_node_whitelist, _ALLOW, "Automatic node whitelisting")
    blacklist = Rule(ipv4, ipv6, config.ports_for_http_adapter_blacklist, 3, "Automatic blacklisting for http adapter")
    inbound = [whitelist, *(rules or config.default_rules)]
    filled = {
        "<<IPv4_RULES>>": _lines(config.ipv4_rule_template, inbound, 4),
        "<<IPv6_RULES>>": _lines(config.ipv6_rule_template, inbound, 6),
        "<<IPv4_OUTBOUND_RULES>>": _lines(config.ipv4_user_output_rule_template, [blacklist], 4),
        "<<IPv6_OUTBOUND_RULES>>": _lines(config.ipv6_user_output_rule_template, [blacklist], 6),
    }
    text = config.file_template
    for mark, value in filled.items():
        if mark not in text:
            raise StandInError(f"firewall.file_template: has no {mark}")
        text = text.replace(mark, value)
    if "<<" in text:
        raise StandInError(f"firewall.file_template: has a mark of another release: {text[text.index('<<') :][:40]!r}")
    return text


def _lines(template: str, rules: Iterable[Rule], version: int) -> str:
    lines = []
    for rule in rules:
        prefixes = rule.ipv4_prefixes if version == 4 else rule.ipv6_prefixes
        if prefixes and rule.ports:
            filled = {
                f"<<IPv{version}_PREFIXES>>": ",".join(prefixes),
                "<<PORTS>>": ",".join(map(str, rule.ports)),
                "<<ACTION>>": _ACTIONS.get(rule.action, "drop"),
                "<<COMMENT>>": rule.comment,
                "<<USER>>": _ADAPTER_USER,
            }
            line = template
            for mark, value in filled.items():
                line = line.replace(mark, value)
            lines.append(line)
    return "\n".join(lines)


def write_rules(path: Path, text: str) -> None:
    """Replaces the rules by a rename in their folder.

    Raises:
        StandInError: the folder or the file cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise StandInError(f"{path}: cannot be replaced: {error.strerror}") from error
