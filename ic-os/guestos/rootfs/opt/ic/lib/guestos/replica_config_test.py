import ipaddress
import itertools
import json
import re
import stat
import subprocess
from pathlib import Path

import json5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guestos import network, replica_config
from guestos.errors import GuestError
from guestos.replica_config import fill, main, values

TEMPLATE = Path(replica_config.__file__).parents[2] / "share/ic.json5.template"
OWN = ipaddress.IPv6Address("2001:db8::99")
OPTIONS = {
    "n": "network.conf",
    "c": "nns.conf",
    "b": "backup.conf",
    "l": "log.conf",
    "m": "malicious_behavior.conf",
    "q": "query_stats.conf",
    "t": "jaeger_addr.conf",
}

NETWORK = """\
ipv6_address=2001:db8::10/64
ipv6_gateway=2001:db8::1
name_servers=2606:4700:4700::1111 2606:4700:4700::1001
hostname=guest-b07b25aabbcc
"""
FULL = {
    "network.conf": NETWORK,
    "nns.conf": "nns_url=http://[2001:db8::1]:8080,http://[2001:db8::2]:8080\n",
    "backup.conf": "backup_retention_time_secs=1\nbackup_puging_interval_secs=2\n",
    "log.conf": 'replica_log_debug_overrides=["ic_consensus::consensus","ic_p2p"]\n',
    "malicious_behavior.conf": 'malicious_behavior={"allow_malicious_behavior": true, "maliciously_corrupt": []}\n',
    "query_stats.conf": "query_stats_epoch_length=60\n",
    "jaeger_addr.conf": "jaeger_addr=http://[2001:db8::7]:4317\n",
}


@pytest.fixture
def generate(tmp_path):
    """Returns a function that writes files, generates ic.json5 and returns it; options are given for all files."""

    def run(files, address=lambda: OWN, template=TEMPLATE):
        for name in OPTIONS.values():
            (tmp_path / name).unlink(missing_ok=True)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        options = [word for option, name in OPTIONS.items() for word in (f"-{option}", str(tmp_path / name))]
        output = tmp_path / "ic.json5"
        output.unlink(missing_ok=True)
        if main([*options, "-i", str(template), "-o", str(output)], address, 0, str(tmp_path)):
            assert not output.exists()
            return None
        return json5.loads(output.read_text())

    return run


def at(config, path):
    for key in path.split("."):
        config = config[key]
    return config


def test_the_known_example(generate):
    config = generate({"network.conf": NETWORK, "nns.conf": FULL["nns.conf"]})
    expected = {
        "transport.node_ip": "2001:db8::10",
        "http_handler.listen_addr": "[2001:db8::10]:8080",
        "metrics.exporter.http": "[2001:db8::10]:9090",
        "message_routing.xnet_ip_addr": "2001:db8::10",
        "registration.nns_url": "http://[2001:db8::1]:8080,http://[2001:db8::2]:8080",
        "artifact_pool.backup.retention_time_secs": 86400,
        "artifact_pool.backup.purging_interval_secs": 3600,
        "logger.debug_overrides": [],
        "malicious_behaviour": None,
        "node_id": "0",
        "logger.node_id": 0,
    }
    assert {path: at(config, path) for path in expected} == expected


def test_values_that_no_file_changes(generate):
    config = generate({})
    expected = {
        "transport.listening_port": 4100,
        "transport.send_queue_size": 51200,
        "registry_client.local_store": "/var/lib/ic/data/ic_registry_local_store/",
        "state_manager.state_root": "/var/lib/ic/data/ic_state",
        "artifact_pool.consensus_pool_path": "/var/lib/ic/data/ic_consensus_pool",
        "artifact_pool.ingress_pool_max_count": 10000,
        "artifact_pool.ingress_pool_max_bytes": 100000000,
        "artifact_pool.backup.spool_path": "/var/lib/ic/backup",
        "consensus.detect_starvation": True,
        "crypto.crypto_root": "/var/lib/ic/crypto",
        "crypto.csp_vault_type": {"unix_socket": "/run/ic-node/crypto-csp/socket"},
        "scheduler.nns_subnet_scheduler_cores": 1,
        "scheduler.non_nns_subnet_scheduler_cores": 32,
        "scheduler.max_instructions_per_round": 26843545600,
        "scheduler.max_instructions_per_message": 5368709120,
        "hypervisor.persistence_type": "sigsegv",
        "adapters_config.bitcoin_testnet_uds_path": "/run/ic-node/bitcoin-testnet-adapter/socket",
        "adapters_config.bitcoin_mainnet_uds_metrics_path": "/run/ic-node/bitcoin-mainnet-adapter/metrics",
        "adapters_config.https_outcalls_uds_path": "/run/ic-node/https-outcalls-adapter/socket",
        "adapters_config.onchain_observability_enable_grpc_server": False,
        "logger.dc_id": 200,
        "logger.level": "info",
        "logger.format": "json",
        "message_routing.xnet_port": 2497,
        "firewall.config_file": "/run/ic-node/nftables-ruleset/nftables.conf",
        "firewall.ports_for_node_whitelist": [2497, 4100, 8080],
        "registration.nns_url": "http://[::1]:8080",
        "registration.nns_pub_key_pem": "/var/lib/ic/data/nns_public_key.pem",
        "registration.node_operator_pem": "/var/lib/ic/data/node_operator_private_key.pem",
    }
    assert {path: at(config, path) for path in expected} == expected


def test_all_files(generate):
    config = generate(FULL)
    expected = {
        "transport.node_ip": "2001:db8::10",
        "artifact_pool.backup.retention_time_secs": 1,
        "artifact_pool.backup.purging_interval_secs": 2,
        "logger.debug_overrides": ["ic_consensus::consensus", "ic_p2p"],
        "malicious_behaviour": {"allow_malicious_behavior": True, "maliciously_corrupt": []},
        "hypervisor.query_stats_epoch_length": 60,
        "tracing.jaeger_addr": "http://[2001:db8::7]:4317",
    }
    assert {path: at(config, path) for path in expected} == expected


STATES = {
    "absent": lambda text: None,
    "empty": lambda text: "",
    "empty values": lambda text: re.sub(r"=.*", "=", text),
    "unknown keys": lambda text: f"{text}\nunknown=1\nanother=\n",
}


@pytest.mark.parametrize("state", STATES)
def test_every_combination_of_files_fills_every_mark(generate, state, tmp_path):
    # The longest section, which no file changes, takes the parser most of its time.
    template = tmp_path / "template"
    template.write_text(
        re.sub(r"^    firewall: \{.*?^    \},\n", "", TEMPLATE.read_text(), flags=re.DOTALL | re.MULTILINE)
    )
    assert sorted(re.findall(r"\{\{.*?\}\}", template.read_text())) == sorted(
        re.findall(r"\{\{.*?\}\}", TEMPLATE.read_text())
    )
    names = [name for name in FULL if name != "network.conf"]
    for present in itertools.product([False, True], repeat=len(names)):
        files = {"network.conf": NETWORK}
        for name, whole in zip(names, present, strict=True):
            text = FULL[name] if whole else STATES[state](FULL[name])
            if text is not None:
                files[name] = text
        config = generate(files, template=template)
        assert "{{" not in json.dumps(config)
        given = {name for name, whole in zip(names, present, strict=True) if whole or state == "unknown keys"}
        assert (at(config, "registration.nns_url") == "http://[::1]:8080") == ("nns.conf" not in given)
        assert at(config, "artifact_pool.backup.retention_time_secs") == (1 if "backup.conf" in given else 86400)
        assert bool(at(config, "logger.debug_overrides")) == ("log.conf" in given)
        assert (at(config, "malicious_behaviour") is None) == ("malicious_behavior.conf" not in given)
        assert at(config, "hypervisor.query_stats_epoch_length") == (60 if "query_stats.conf" in given else 600)
        assert bool(at(config, "tracing.jaeger_addr")) == ("jaeger_addr.conf" in given)


def test_without_a_configured_address_the_own_one_is_used(generate):
    assert at(generate({}), "transport.node_ip") == str(OWN)
    assert at(generate({"network.conf": "hostname=node\n"}), "transport.node_ip") == str(OWN)


def test_the_own_address_is_waited_for(tmp_path):
    answers = [None, OWN]
    assert values({}, lambda: answers.pop(0), 60)["ipv6_address"] == str(OWN)
    assert answers == []


def test_without_any_address_there_is_no_file(generate, capsys):
    assert generate({}, lambda: None) is None
    assert "has no IPv6 address after 0 s: set ipv6_address in network.conf" in capsys.readouterr().err


SPELLINGS = [
    ("backup.conf", "backup_purging_interval_secs=5", "artifact_pool.backup.purging_interval_secs", 5),
    ("log.conf", 'log_debug_overrides=["a"]', "logger.debug_overrides", ["a"]),
    ("nns.conf", "nns_urls=https://a.b", "registration.nns_url", "https://a.b"),
    ("nns.conf", "nns_url=http://a http://b", "registration.nns_url", "http://a,http://b"),
    ("malicious_behavior.conf", "malicious_behavior=null", "malicious_behaviour", None),
]


@pytest.mark.parametrize(("name", "text", "path", "expected"), SPELLINGS)
def test_other_spellings(generate, name, text, path, expected):
    assert at(generate({name: text}), path) == expected


NEEDED = [
    ("network.conf", "\nipv6_address=nonsense", r":2: ipv6_address: "),
    ("nns.conf", "# x\nnns_url=ftp://a", r":2: nns_url: 'ftp://a' is not a URL"),
    ("nns.conf", 'nns_url=http://a",x:"', r":1: nns_url: "),
    ("nns.conf", "nns_url=,", r":1: nns_url: ',' has no URL"),
]

OPTIONAL = [
    ("backup.conf", "backup_retention_time_secs=-1", r":1: backup_retention_time_secs: '-1' is not a number"),
    ("backup.conf", "backup_puging_interval_secs=18446744073709551616", r":1: .* is not a number from 0 to 2\^64-1"),
    ("log.conf", 'replica_log_debug_overrides=["a", 1]', r":1: .* is not a JSON list of strings"),
    ("log.conf", "replica_log_debug_overrides=[", r":1: .* is not JSON"),
    ("malicious_behavior.conf", "malicious_behavior=[]", r":1: .* is not a JSON object"),
    ("log.conf", 'replica_log_debug_overrides=["\\ud800"]', r":1: .*surrogates not allowed"),
    ("malicious_behavior.conf", 'malicious_behavior={"a": NaN}', r":1: .*NaN is no number in JSON"),
    ("malicious_behavior.conf", "malicious_behavior=" + "[" * 100_000, r":1: .* is not JSON"),
    ("query_stats.conf", "query_stats_epoch_length=1e3", r":1: .* is not a number"),
    ("jaeger_addr.conf", "jaeger_addr=a b", r":1: .* is not a URL"),
    ("log.conf", "nonsense", r":1: expected KEY=VALUE"),
    ("network.conf", "domain=a b", r":1: domain: 'a b' is not a domain name"),
    ("network.conf", "ipv4_address=192.0.2.1", r":1: ipv4_address: '192.0.2.1' has no prefix length"),
]


@pytest.mark.parametrize(("name", "text", "message"), NEEDED)
def test_an_invalid_value_that_is_needed_is_an_error(generate, tmp_path, capsys, name, text, message):
    assert generate({name: text}) is None
    error = capsys.readouterr().err
    assert re.match(rf"generate-replica-config\.sh: error: {tmp_path / name}{message}", error), error
    assert error.count("\n") == 1


@pytest.mark.parametrize(("name", "text", "message"), OPTIONAL)
def test_of_an_invalid_value_that_is_optional_the_default_is_used(generate, tmp_path, capsys, name, text, message):
    assert generate({name: text}) == generate({})
    error = capsys.readouterr().err
    assert re.match(
        rf"<4>generate-replica-config\.sh: warning: {tmp_path / name}{message}.*; this is ignored\n$", error
    )


def test_other_settings_of_the_same_file_are_used(generate, tmp_path, capsys):
    text = "nonsense\nipv4_address=x\nipv4_gateway=192.0.2.1\ndomain=node.example\n"
    config = generate({"network.conf": text, "nns.conf": "nonsense\nnns_url=http://a\n"})
    assert (config["domain"], config["registration"]["nns_url"]) == ("node.example", "http://a")
    assert config["initial_ipv4_config"] == {"public_address": "", "public_gateway": ""}
    assert capsys.readouterr().err.count("\n") == 3
    metric = (tmp_path / "guestos_ignored_settings_ic.json5.prom").read_text()
    assert metric.endswith('guestos_ignored_settings{reader="ic.json5"} 3\n')
    generate({})
    assert (tmp_path / "guestos_ignored_settings_ic.json5.prom").read_text().endswith("} 0\n")


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]))), st.dictionaries(st.text("ab{}\"'\\"), st.floats(-9, 9))
)
def test_any_json_arrives_as_it_was_given(overrides, behaviour):
    inserted = {
        "a": replica_config._VALUES["replica_log_debug_overrides"].convert(json.dumps(overrides)),
        "b": replica_config._VALUES["malicious_behavior"].convert(json.dumps(behaviour)),
    }
    assert json5.loads(fill("[{{ a }}, {{b}}]", "x", inserted)) == [overrides, behaviour]


@given(st.text())
def test_no_url_leaves_its_string(text):
    for mark in ("nns_url", "jaeger_addr", "domain", "ipv4_address", "ipv4_gateway"):
        try:
            inserted = replica_config._VALUES[mark].convert(text)
        except ValueError:
            continue
        assert json5.loads(f'"{inserted}"') == inserted


def test_ipv4_and_domain_are_checked():
    convert = {mark: replica_config._VALUES[mark].convert for mark in ("ipv4_address", "ipv4_gateway", "domain")}
    assert convert["ipv4_address"]("192.0.2.5/24") == "192.0.2.5/24"
    assert convert["ipv4_gateway"]("192.0.2.1") == "192.0.2.1"
    assert convert["domain"]("node.example.org") == "node.example.org"
    for mark, wrong in (("ipv4_address", "192.0.2.5"), ("ipv4_gateway", "192.0.2"), ("domain", 'a"')):
        with pytest.raises(ValueError, match=re.escape(wrong)):
            convert[mark](wrong)


@pytest.mark.parametrize("domain", ["-a-", "a..b", "a_b", ".", "a" * 64])
def test_what_the_network_ignores_is_not_configured(generate, tmp_path, domain):
    config = generate({"network.conf": f"domain={domain}\n"})
    assert config["domain"] == ""
    ignored = []
    assert network.read(str(tmp_path / "network.conf"), invalid=ignored.append).domain is None
    assert len(ignored) == 1


def test_a_mark_without_a_value_is_an_error_with_its_line():
    with pytest.raises(GuestError, match=r"^x\.template:3: nothing is known to insert for '\{\{ other \}\}'$"):
        fill("{{ a }}\n\n  {{ other }}", "x.template", {"a": "1"})


def test_inserted_text_is_not_searched_for_marks():
    assert fill("{{a}}{{ b }}", "x", {"a": "{{ b }}", "b": "1"}) == "{{ b }}1"


def test_with_zeros_the_template_is_json5():
    assert json5.loads(re.sub(r"\{\{.*?\}\}", "0", TEMPLATE.read_text()))


def test_the_script_writes_a_file_that_everybody_can_read(tmp_path):
    script = TEMPLATE.parents[1] / "bin/generate-replica-config.sh"
    if not Path("/usr/bin/python3").exists():
        pytest.skip("/usr/bin/python3 is missing: install the Debian package python3")
    (tmp_path / "network.conf").write_text(NETWORK)
    output = tmp_path / "ic.json5"
    output.write_text("old")
    command = f'umask 0026 && exec "{script}" -n "{tmp_path}/network.conf" -i "{TEMPLATE}" -o "{output}"'
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert stat.S_IMODE(output.stat().st_mode) == 0o644
    assert at(json5.loads(output.read_text()), "transport.node_ip") == "2001:db8::10"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ic.json5", "network.conf"]


@pytest.mark.parametrize("option", ["-i", "-o"])
def test_template_and_output_are_needed(option, tmp_path):
    with pytest.raises(SystemExit) as ended:
        main([option, str(tmp_path / "x")])
    assert ended.value.code == 2


def test_a_missing_template_or_directory_is_an_error(tmp_path, capsys):
    assert main(["-i", str(tmp_path / "no"), "-o", str(tmp_path / "x")], lambda: OWN, 0) == 1
    assert main(["-i", str(TEMPLATE), "-o", str(tmp_path / "no/x")], lambda: OWN, 0) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error.split(": ")[2:4][-1] for error in errors] == ["cannot be read", "cannot be written"]
