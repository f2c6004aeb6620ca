"""What build-bootstrap-config-image.sh offers has a reader on the machine, and what has none isn't offered.

The generators of configuration files run as the units call them, on the config store that a medium fills.
"""

import ipaddress
import re
import shlex
from pathlib import Path

import pytest
from guestos import adapter_config, bootstrap, hostname, log_shipping, network, replica_config

from guestos_tools.bootstrap_media import content, parser
from guestos_tools.bootstrap_settings import SETTINGS

ROOTFS = Path(__file__).parents[1] / "rootfs"
GENERATORS = {
    "generate-replica-config.sh": replica_config.main,
    "generate-btc-adapter-config.sh": adapter_config.bitcoin,
    "generate-https-outcalls-adapter-config.sh": adapter_config.https_outcalls,
}
VALUES = {
    "ipv6_address": "2001:db8::2/64",
    "ipv6_gateway": "2001:db8::1",
    "name_servers": "2001:db8::53",
    "ipv6_prefixes": "2001:db8::/32",
    "hostname": "node-1",
    "ipv4_address": "192.0.2.2/24",
    "ipv4_gateway": "192.0.2.1",
    "domain": "node.example",
    "nns_url": "https://nns.example",
    "replica_log_debug_overrides": '["ic_consensus"]',
    "backup_retention_time": "5",
    "backup_purging_interval": "6",
    "malicious_behavior": '{"maliciously_propose_empty_blocks": true}',
    "query_stats_epoch_length": "7",
    "jaeger_addr": "http://jaeger.example",
    "node_reward_type": "type1",
    "socks_proxy": "socks5://proxy.example:1080",
    "bitcoind_addr": "192.0.2.7:18444",
    "elasticsearch_hosts": "logs.example",
    "elasticsearch_tags": "tag",
    "journalbeat_hosts": "logs.example",
    "journalbeat_tags": "tag",
}
NEEDS = {
    "ipv6_gateway": "ipv6_address",
    "ipv4_gateway": "ipv4_address",
    "elasticsearch_tags": "elasticsearch_hosts",
    "journalbeat_tags": "journalbeat_hosts",
}
READERS = {
    "nns_public_key": "opt/ic/share/ic.json5.template",
    "node_operator_private_key": "opt/ic/share/ic.json5.template",
    "ic_crypto": "opt/ic/share/ic.json5.template",
    "ic_registry_local_store": "opt/ic/share/ic.json5.template",
    "ic_state": "opt/ic/share/ic.json5.template",
    "accounts_ssh_authorized_keys": "etc/ssh/sshd_config.d/10-guestos.conf",
}
"""The files of the image that name the place where the files and folders of an option go."""


def calls():
    """Returns the generators with their arguments, as units call them."""
    found = []
    for unit in sorted(ROOTFS.glob("etc/systemd/system/*.service")):
        for command in re.findall(r"^ExecStartPre=\+(.*)$", unit.read_text().replace("\\\n", " "), re.MULTILINE):
            program, *arguments = shlex.split(command)
            if Path(program).name in GENERATORS:
                found.append((GENERATORS[Path(program).name], arguments))
    return found


def read_by_the_machine(config, folder):
    """Returns what the readers make of a config store.

    Args:
        config: the folder that stands for /boot/config.
        folder: for outputs.
    """
    shown = []
    for generator, arguments in calls():
        words = [word.replace("/boot/config", str(config)).replace("/opt/ic", f"{ROOTFS}/opt/ic") for word in arguments]
        words[words.index("-o") + 1] = str(folder / "output")
        more = {"address": lambda: ipaddress.IPv6Address("2001:db8::99"), "metrics": str(folder)}
        assert generator(words, **(more if generator is replica_config.main else {})) == 0
        shown.append((folder / "output").read_text())
    path = str(config / "network.conf")
    if (config / "network.conf").exists():
        shown += [network.networkd_file(network.read(path), "enp1s0"), hostname.chosen(path, None)]
    else:
        shown += [network.networkd_file(network.Network(), "enp1s0"), None]
    return [*shown, log_shipping.read(str(config))]


@pytest.fixture
def after_bootstrap(tmp_path):
    """Returns a function that returns what the readers make of the config store that some options lead to."""

    def read(*names):
        config = tmp_path / "-".join(["config", *names])
        config.mkdir()
        if names:
            given = parser().parse_args(["out", *(f"--{name}={VALUES[name]}" for name in names)])
            for name, file in content(given).sorted_entries():
                (config / name.decode()).write_bytes(file.content.read(0, file.content.size))
        return read_by_the_machine(config, tmp_path)

    return read


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_setting_is_offered_if_a_reader_heeds_it(after_bootstrap, setting):
    others = [NEEDS[setting.name]] if setting.name in NEEDS else []
    heeded = after_bootstrap(*others, setting.name) != after_bootstrap(*others)
    assert heeded == bool(setting.help)


def test_all_generators_are_asked():
    assert {generator for generator, _ in calls()} == set(GENERATORS.values())
    assert len(calls()) == 6


@pytest.mark.parametrize(("option", "reader"), READERS.items())
def test_files_go_where_their_reader_looks_for_them(option, reader):
    member = next(name for name in (option, f"{option}.pem") if name in bootstrap.MEMBERS)
    place = bootstrap.MEMBERS[member]
    path = str(place.parent / (place.name or member))
    assert re.search(rf'{re.escape(path)}(?=[/"\s]|$)', (ROOTFS / reader).read_text()), path


def test_no_other_option_is_offered(capsys):
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"])
    offered = set(re.findall(r"--([a-z0-9_]+)", capsys.readouterr().out.partition("\n\n")[0]))
    # The signature is none of the archive's files: it lies beside the archive, for bootstrap_signature.
    offered -= {"help", "tar", "signature"}
    assert offered == {setting.name for setting in SETTINGS if setting.help} | set(READERS)
