import dataclasses
import os

import pytest

from sample_node import Node
from standins.config import Rule, read_config
from standins.firewall import ruleset, write_rules
from standins.problems import StandInError

GOLDEN = """\
table filter {
  set crypto_ips { type ipv4_addr; }
  chain INPUT {
    type filter hook input priority 0; policy drop;
    iif lo accept
ip saddr {192.0.2.1} ct state { new } tcp dport {2497,4100,8080} accept # Automatic node whitelisting
ip saddr {198.51.100.0/24,203.0.113.7} ct state { new } tcp dport {22} reject # Rule a
  }
  chain OUTPUT {
    type filter hook output priority 0; policy accept;
meta skuid ic-http-adapter ip daddr {192.0.2.1} ct state { new } tcp dport {2497,4100,8080} reject # \
Automatic blacklisting for http adapter
  }
}
table ip6 filter {
  chain INPUT {
    type filter hook input priority 0; policy drop;
    iif lo accept
    ct state { established, related } accept
ip6 saddr {2001:db8::1,2001:db8::2} ct state { new } tcp dport {2497,4100,8080} accept # Automatic node whitelisting
ip6 saddr {::/0} ct state { new } tcp dport {22,80} drop # Rule b
  }
  chain OUTPUT {
    type filter hook output priority 0; policy accept;
meta skuid ic-http-adapter ip6 daddr {2001:db8::1,2001:db8::2} ct state { new } tcp dport {2497,4100,8080} reject # \
Automatic blacklisting for http adapter
  }
}
"""
RULES = [
    Rule(("198.51.100.0/24", "203.0.113.7"), (), (22,), 3, "Rule a"),
    Rule((), ("::/0",), (22, 80), 2, "Rule b"),
]


@pytest.fixture
def config(tmp_path):
    return read_config(Node(tmp_path).config).firewall


def test_both_tables(config):
    assert ruleset(config, RULES, ["192.0.2.1", "2001:db8::1", "2001:db8::2"]) == GOLDEN


def test_the_default_rules_apply_if_the_registry_has_none(config):
    text = ruleset(config, [], [])
    rule = "ip6 saddr {2001:db8::/32,fd00::/8} ct state { new } tcp dport {22,9090,9100} accept # Default rule"
    assert rule in text
    assert "skuid" not in text


def test_templates_of_another_release_are_errors(config):
    other = dataclasses.replace(config, file_template=config.file_template.replace("IPv4_RULES", "IPv4_TCP_RULES"))
    with pytest.raises(StandInError, match="has no <<IPv4_RULES>>"):
        ruleset(other, [], [])
    more = dataclasses.replace(config, file_template=config.file_template + "<<MAX>>")
    with pytest.raises(StandInError, match="has a mark of another release: '<<MAX>>'"):
        ruleset(more, [], [])


def test_the_file_is_replaced_by_a_rename(tmp_path):
    path = tmp_path / "nftables.conf"
    path.write_text("old")
    before = path.stat().st_ino
    write_rules(path, "new")
    assert (path.read_text(), path.stat().st_ino != before) == ("new", True)
    assert os.listdir(tmp_path) == ["nftables.conf"]
    with pytest.raises(StandInError, match="cannot be replaced: No such file"):
        write_rules(tmp_path / "nothing" / "nftables.conf", "new")
