"""Tests of the units of the services around the replica, which the release binaries' own checks rely on."""

import configparser
import re
from pathlib import Path

import pytest

ROOTFS = Path(__file__).parents[1] / "rootfs"
UNITS = ROOTFS / "etc/systemd/system"

# Unit to folder of its sockets, their owner and group, the account of the service, and its program.
SERVICES = {
    "ic-crypto-csp": ("crypto-csp", "ic-csp-vault", "ic-csp-vault-socket", "ic-csp-vault", "ic-crypto-csp"),
    "ic-btc-mainnet-adapter": ("bitcoin-mainnet-adapter", *["ic-replica"] * 3, "ic-btc-adapter"),
    "ic-btc-testnet-adapter": ("bitcoin-testnet-adapter", *["ic-replica"] * 3, "ic-btc-adapter"),
    "ic-https-outcalls-adapter": (
        "https-outcalls-adapter",
        *["ic-http-adapter"] * 3,
        "ic-https-outcalls-adapter",
    ),
}


class _Values(dict):
    """Collects the values of a key that is given more than once."""

    def __setitem__(self, key, value):
        if isinstance(value, list) and key in self:
            value = self[key] + value
        super().__setitem__(key, value)


def unit(name):
    """Returns the sections of a unit; the values of a key are joined by line breaks."""
    parser = configparser.RawConfigParser(dict_type=_Values, strict=False, delimiters=("=",))
    parser.optionxform = str
    parser.read_string((UNITS / name).read_text())
    return parser


def wanted(name):
    return re.findall(r"\S+", " ".join(re.findall(r"^Wants=(.*)$", (UNITS / name).read_text(), re.MULTILINE)))


@pytest.mark.parametrize("name", SERVICES)
def test_two_sockets_with_the_default_name(name):
    folder, user, group, *_ = SERVICES[name]
    socket = unit(f"{name}.socket")["Socket"]
    streams = [f"/run/ic-node/{folder}/socket", f"/run/ic-node/{folder}/metrics"]
    assert socket["ListenStream"].splitlines() == streams
    assert (socket["SocketUser"], socket["SocketGroup"], socket["SocketMode"]) == (user, group, "0660")
    # Without it a descriptor has the name of the socket unit, as the crypto service requires; with Service= the socket
    # could belong to another unit.
    assert not {"FileDescriptorName", "Service", "Accept"} & set(socket)


def test_the_replica_looks_for_the_sockets_where_they_are():
    template = (ROOTFS / "opt/ic/share/ic.json5.template").read_text()
    assert 'unix_socket: "/run/ic-node/crypto-csp/socket"' in template
    for name in ("bitcoin_mainnet", "bitcoin_testnet", "https_outcalls"):
        folder = f"/run/ic-node/{name.replace('_', '-')}-adapter"
        assert folder.rpartition("/")[2] in [service[0] for service in SERVICES.values()]
        assert f'{name}_uds_path: "{folder}/socket"' in template
        assert f'{name}_uds_metrics_path: "{folder}/metrics"' in template


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_runs_as_its_own_account(name):
    *_, account, program = SERVICES[name]
    parsed = unit(f"{name}.service")
    service = parsed["Service"]
    assert parsed["Unit"]["Requires"] == f"{name}.socket"
    assert (service["User"], service["Restart"], service["NoNewPrivileges"]) == (account, "always", "yes")
    assert service["ExecStart"].split()[0] == f"/opt/ic/bin/{program}"
    assert parsed["Unit"]["ConditionPathExists"] == service["ExecStart"].split()[0]


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_reads_the_configuration_that_was_generated_as_root(name):
    service = unit(f"{name}.service")["Service"]
    generator = service["ExecStartPre"]
    assert generator.startswith("+/opt/ic/bin/generate-")
    written = re.search(r" -o (\S+)", generator)[1]
    assert Path(written).parent == Path("/run/ic-node/config")
    assert service["ExecStart"].split()[-1] == written


def test_the_onchain_observability_adapter():
    """It has one socket, of a unit with another name, and two configurations."""
    name = "ic-onchain-observability-adapter"
    socket = unit(f"{name}-metrics.socket")["Socket"]
    folder = "/run/ic-node/onchain-observability-adapter"
    assert (socket["ListenStream"], socket["Service"]) == (f"{folder}/metrics", f"{name}.service")
    assert (socket["SocketUser"], socket["SocketGroup"], socket["SocketMode"]) == ("ic-replica", "ic-replica", "0660")
    template = (ROOTFS / "opt/ic/share/ic.json5.template").read_text()
    assert f'onchain_observability_uds_metrics_path: "{folder}/metrics"' in template
    parsed = unit(f"{name}.service")
    service = {key: value.replace("\\\n", "") for key, value in parsed["Service"].items()}
    program, *flags = service["ExecStart"].split()
    assert program == parsed["Unit"]["ConditionPathExists"] == f"/opt/ic/bin/{name}"
    written = re.findall(r" -o (\S+)", service["ExecStartPre"])
    config = "/run/ic-node/config/onchain-observability-adapter"
    assert sorted(written) == [f"{config}-replica-config.json5", f"{config}-specific-config.json"]
    assert flags == ["--adapter-specific-config-file", written[1], "--replica-config-file", written[0]]
    assert (parsed["Unit"]["Requires"], service["User"]) == (f"{name}-metrics.socket", "ic-replica")
    # It ends with success where it has nothing to do.
    assert service["Restart"] == "on-failure"
    assert f"{name}-metrics.socket" in wanted("sockets.target.d/10-guestos.conf")
    assert f"{name}.service" in wanted("ic-replica.service.d/10-guestos.conf")


@pytest.mark.parametrize("name", SERVICES)
def test_sockets_and_services_are_enabled(name):
    assert f"{name}.socket" in wanted("sockets.target.d/10-guestos.conf")
    assert f"{name}.service" in wanted("ic-replica.service.d/10-guestos.conf")


def test_the_generators_see_the_addresses_of_the_machine():
    # systemd puts ExecStartPre=+ into a network of its own, too.
    for name in SERVICES:
        assert not {"PrivateNetwork", "NetworkNamespacePath"} & set(unit(f"{name}.service")["Service"])


def test_only_the_crypto_service_can_write_keys():
    service = unit("ic-crypto-csp.service")["Service"]
    assert (service["ReadWritePaths"], service["UMask"], service["LimitCORE"]) == ("/var/lib/ic/crypto", "0066", "0")
    for name in SERVICES:
        if name != "ic-crypto-csp":
            hidden = unit(f"{name}.service")["Service"]["InaccessiblePaths"].split()
            assert hidden == ["-/var/lib/ic", "-/run/ic-node/privileged-scripts"]


def test_the_device_of_the_host_belongs_to_its_group():
    rule = (ROOTFS / "etc/udev/rules.d/60-guestos-vsock.rules").read_text()
    assert 'KERNEL=="vsock", GROUP="vsock", MODE="0660"' in rule


PROFILES = ROOTFS / "etc/apparmor.d"
REPLICA = ("orchestrator", "replica")
SANDBOX = (*REPLICA, "canister-sandbox")


def profile(name):
    """Returns the rules of an AppArmor profile, with those that it includes."""

    def text(path):
        include = r"^ *include <(abstractions/\S+)>$"
        return re.sub(include, lambda match: text(PROFILES / match[1]), path.read_text(), flags=re.MULTILINE)

    return text(PROFILES / "guestos" / name).replace("@{profile_name}", name)


def peers(name, kind, access):
    """Returns the profiles that a profile may have something to do with, by its rules of a kind."""
    found = set()
    for accesses, names in re.findall(
        rf"^ *{kind} \(?([a-z, ]+?)\)? peer=\{{?([\w,-]+?)\}}?,$", profile(name), re.MULTILINE
    ):
        found |= set(names.split(",")) if access in accesses.split(", ") else set()
    return found


@pytest.mark.parametrize(("kind", "active", "passive"), [("ptrace", "read", "readby"), ("signal", "send", "receive")])
def test_the_replica_may_look_at_its_sandboxes_and_end_them(kind, active, passive):
    """Profiles are stacked: each of one process has to permit each of the other."""
    for name in REPLICA:
        assert peers(name, kind, active) >= set(SANDBOX)
    for name in SANDBOX:
        assert peers(name, kind, passive) >= set(REPLICA)


@pytest.mark.parametrize("file", ["smaps", "status"])
def test_the_replica_may_count_the_memory_of_its_sandboxes(file):
    for name in REPLICA:
        rules = re.findall(r"^  /proc/@\{pid\}/(?:\{,\S*?\})?(\S+) r,$", profile(name), re.MULTILINE)
        assert any(file in rule.strip("{}").split(",") for rule in rules), name
