import re
from pathlib import Path

import pytest

from sample_node import Node
from standins.config import read_config, socket_address
from standins.firewall import ruleset
from standins.problems import StandInError

TEMPLATE = Path(__file__).parents[2] / "rootfs/opt/ic/share/ic.json5.template"


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_values(node):
    config = read_config(node.config)
    assert config.endpoints == {
        "p2p": ("::1", 4100),
        "api": ("::1", node.api),
        "metrics": ("::1", node.metrics),
        "xnet": ("::1", 2497),
    }
    assert config.vault == node.root / "run/socket"
    assert config.local_store == node.root / "data/ic_registry_local_store"
    assert config.nns_urls == ("http://[::1]:9",)
    assert [path.name for path in config.signing_keys] == ["test_key.pem", "node_operator_private_key.pem"]
    assert config.firewall.default_rules[0].ipv6_prefixes == ("2001:db8::/32", "fd00::/8")


def test_the_template_of_the_system_has_all_keys(tmp_path):
    path = tmp_path / "ic.json5"
    values = {"ipv6_address": "2001:db8::1", "replica_log_debug_overrides": "[]", "malicious_behavior": "null"}
    text = re.sub(r"{{ *(\w+) *}}", lambda mark: values.get(mark[1], "0"), TEMPLATE.read_text())
    path.write_text(text)
    config = read_config(path)
    assert config.endpoints["api"] == ("2001:db8::1", 8080)
    assert str(config.vault) == "/run/ic-node/crypto-csp/socket"
    assert ruleset(config.firewall, [], ["192.0.2.1"]).startswith("flush ruleset\n")
    # The programs of a release parse it with another reader: no mark may be left that this test does not know.
    assert "{{" not in text


def test_both_forms_of_the_crypto_service(node):
    text = node.config.read_text()
    inner = '{ logic: "/l", metrics: "/m" }'
    node.config.write_text(re.sub(r"unix_socket: \S+", f"unix_socket: {inner}", text))
    assert str(read_config(node.config).vault) == "/l"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('node_ip: "::1"', 'node_ip: "{{ ipv6_address }}"', "transport.node_ip: has a mark that was not filled in"),
        ('node_ip: "::1"', 'node_ip: "::1/64"', "transport.node_ip: '::1/64' does not appear to be an IPv4 or IPv6"),
        ('node_ip: "::1"', 'node_ip: ""', "transport.node_ip: '' does not appear to be an IPv4 or IPv6 address"),
        ("listening_port: 4100", 'listening_port: "4100"', "transport.listening_port: must be of type int, not '4100'"),
        ("listening_port: 4100, ", "", "transport.listening_port: is missing"),
        (
            "retention_time_secs: 86400",
            "retention_time_secs: true",
            "retention_time_secs: must be of type int, not True",
        ),
        ("debug_overrides: []", "debug_overrides: [1]", "logger.debug_overrides: must be a list of str"),
        ("malicious_behaviour: null,", "", "malicious_behaviour: is missing"),
        ("malicious_behaviour: null", "malicious_behaviour:", "line 76: expected a value, found ',"),
        ("transport:", "transport: [], other:", "transport: must be of type dict, not []"),
        ('unix_socket: "', 'other: "', "crypto.csp_vault_type.unix_socket: is missing"),
        ('nns_pub_key_pem: "', 'nns_pub_key_pem: "a', "registration.nns_pub_key_pem: must be an absolute path"),
        ("direction: 1", "direction: null", "default_rules[0].direction: must be of type int, not None"),
        ('listen_addr: "[::1]', 'listen_addr: "::1', "is not IPV4:PORT or [IPV6]:PORT"),
    ],
)
def test_a_mistake_is_named_with_its_place(node, old, new, message):
    text = node.config.read_text()
    assert old in text
    node.config.write_text(text.replace(old, new))
    with pytest.raises(StandInError) as error:
        read_config(node.config)
    assert message in str(error.value)


def test_without_the_file(tmp_path):
    with pytest.raises(StandInError, match=r"ic\.json5: No such file or directory"):
        read_config(tmp_path / "ic.json5")


def test_addresses():
    assert socket_address("[::]:80") == ("::", 80)
    assert socket_address("0.0.0.0:9091") == ("0.0.0.0", 9091)
    for text in ("", "::1:80", "[1.2.3.4]:80", "[::1]", "[::1]:", "[::1]:70000", "localhost:80"):
        with pytest.raises(ValueError, match=r"not IPV4:PORT|does not appear"):
            socket_address(text)
