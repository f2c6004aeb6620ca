import hashlib
import http.client
import json
import os
import signal
import stat
import time

import pytest

from sample_node import Nns, Node, free_port, wait_for

MAIN = "from standins.orchestrator import main; main(period=0.05, retry=0.05, dashboard=('::1', {dashboard}))"
LOG = """#!/bin/sh
printf '%s' "$*" >>{log}
[ "$1" = confirm ] || cat >"{root}/stdin.$1"
echo >>{log}
"""
# Takes the place of the replica: writes its command line, and lives.
REPLICA = """#!/bin/sh
echo "$$ $*" >>{root}/replica.log
exec sleep 1000
"""
IMAGE = b"an update image"
RULE = {
    "ipv4_prefixes": [],
    "ipv6_prefixes": ["::/0"],
    "ports": [22],
    "action": 1,
    "comment": "test",
    "direction": 1,
}


class Orchestrated(Node):
    """A node with an NNS node and fake scripts, whose calls are in the file calls."""

    def __init__(self, root, nns):
        super().__init__(root)
        self.nns = nns
        self.dashboard, self.orchestrator_metrics = free_port(), free_port()
        self.configure(nns.url)
        (root / "data/node_operator_private_key.pem").write_text("key\n")
        for name in ("manageboot.sh", "provision-ssh-keys.sh"):
            self.script(name, LOG.format(log=root / "calls", root=root))
        self.script("replica", REPLICA.format(root=root))

    def flags(self, **other):
        values = {
            "replica-binary-dir": self.root / "data/images",
            "cup-dir": self.root / "data/cups",
            "replica-config-file": self.config,
            "enable-provisional-registration": "",
            "ic-binary-directory": self.root / "bin",
            "orchestrator-data-directory": self.root / "data/orchestrator",
            "version-file": self.root / "version.txt",
            "metrics-listen-addr": f"[::1]:{self.orchestrator_metrics}",
        } | {name.replace("_", "-"): value for name, value in other.items()}
        words = []
        for name, value in values.items():
            words += [f"--{name}", value] if value else [f"--{name}"] if value == "" else []
        return words

    def orchestrate(self, **other):
        return self.start(MAIN.format(dashboard=self.dashboard), *self.flags(**other))

    def calls(self):
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def replicas(self):
        path = self.root / "replica.log"
        return path.read_text().splitlines() if path.exists() else []

    def get(self, port, path):
        connection = http.client.HTTPConnection("::1", port, timeout=30)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()


@pytest.fixture
def node(tmp_path):
    with Nns() as nns:
        nns.registry = {"registry_version": 1, "subnet": "the-subnet"}
        result = Orchestrated(tmp_path, nns)
        result.vault()
        yield result
        result.end()


def gone(pid):
    """Returns whether a process ended; the test's process may be its parent in another way than by wait."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_registers_confirms_and_starts_the_replica(node):
    process = node.orchestrate()
    replica = wait_for(node.replicas, "the replica")[0]
    pid, _, arguments = replica.partition(" ")
    package = node.root / "data/cups/cup.types.v1.CatchUpPackage.pb"
    assert arguments == (
        f"--replica-version=1.0 --config-file={node.config} --catch-up-package={package} --force-subnet=the-subnet"
    )
    assert package.exists()
    assert os.getpgid(int(pid)) == int(pid)
    requests = [(method, path) for method, path, _ in node.nns.requests]
    assert requests[:2] == [("POST", "/stand-in/add_node"), ("GET", "/stand-in/registry.json")]
    request = node.nns.requests[0][2]
    assert (request["signer"], request["endpoints"]["p2p"]) == (
        "node_operator_private_key.pem",
        {"ip": "::1", "port": 4100},
    )
    assert node.calls()[0] == "confirm"
    shown = node.get(node.dashboard, "/")
    assert f"node ID: {request['node_id']}\nversion: 1.0\nregistry version: 1\nsubnet: the-subnet\n" in shown
    assert f"replica process: {pid}\nreplica: ::1 port {node.api}: does not answer" in shown
    assert node.get(node.dashboard, "/status") == shown
    metrics = node.get(node.orchestrator_metrics, "/metrics")
    assert metrics.startswith('stand_in_orchestrator_info{version="1.0"} 1\nprocess_threads ')
    process.terminate()
    assert process.wait(60) == 0
    wait_for(lambda: gone(int(pid)), "the end of the replica")
    assert node.calls().count("confirm") == 1


def test_confirms_once_and_ignores_the_result(node):
    node.script("manageboot.sh", f"#!/bin/sh\necho $* >>{node.root}/calls\nexit 1\n")
    process = node.orchestrate()
    wait_for(node.replicas, "the replica")
    rounds = len(node.nns.requests) + 5
    wait_for(lambda: len(node.nns.requests) > rounds, "further rounds")
    assert (process.poll(), node.calls().count("confirm")) == (None, 1)


def test_a_node_that_is_not_registered_is_not_confirmed(node):
    node.nns.registry = None
    process = node.orchestrate()
    wait_for(lambda: len(node.nns.requests) > 6, "further tries")
    assert (process.poll(), node.calls(), node.replicas()) == (None, [], [])
    node.nns.registry = {"registry_version": 1}
    wait_for(node.calls, "the confirmation")


def test_a_registry_of_the_bootstrap_archive_needs_no_nns(node):
    store = node.root / "data/ic_registry_local_store/stand-in-registry.json"
    store.write_text(json.dumps(node.nns.registry))
    node.configure("http://127.0.0.1:9")
    node.orchestrate()
    wait_for(node.replicas, "the replica")
    assert node.nns.requests == []


def test_waits_for_the_crypto_service(node):
    node.processes[0].kill()
    node.processes[0].wait()
    process = node.orchestrate()
    assert "not a program of the Internet Computer" in process.stdout.readline()
    assert f"waiting: {node.root}/run/socket: does not answer" in process.stdout.readline()
    assert node.nns.requests == []
    for name in ("socket", "metrics"):
        (node.root / "run" / name).unlink()
    node.vault()
    wait_for(node.replicas, "the replica")


def test_without_the_key_of_the_nns_nothing_is_replicated(node):
    (node.root / "data/nns_public_key.pem").unlink()
    process = node.orchestrate()
    process.stdout.readline()
    assert "nns_public_key.pem: No such file or directory" in process.stdout.readline()
    assert not node.calls()


def test_an_unassigned_node_has_no_replica(node):
    node.orchestrate()
    pid = int(wait_for(node.replicas, "the replica")[0].split()[0])
    node.nns.registry = {"registry_version": 2, "subnet": None}
    wait_for(lambda: gone(pid), "the end of the replica")
    node.nns.registry = {"registry_version": 3, "subnet": "other"}
    wait_for(lambda: len(node.replicas()) == 2, "another replica")
    assert node.replicas()[1].endswith("--force-subnet=other")


def test_a_node_that_leaves_its_subnet_removes_the_state(node):
    node.script("sync_fstrim.sh", f"#!/bin/sh\necho sync_fstrim $# >>{node.root}/calls; test -e {node.root}/works\n")
    deltas, pool = node.root / "data/ic_state/page_deltas", node.root / "data/ic_consensus_pool"
    for path in (deltas / "inner/x.mem", deltas / "y.mem", node.root / "data/ic_state/tip/z", pool / "block"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("data")
    process = node.orchestrate()
    wait_for(node.replicas, "the replica")
    node.nns.registry = {"registry_version": 2, "subnet": None}
    wait_for(lambda: node.calls().count("sync_fstrim 0") > 1, "another try")
    assert (node.root / "data/cups/cup.types.v1.CatchUpPackage.pb").exists()
    (node.root / "works").touch()
    wait_for(lambda: not (node.root / "data/cups/cup.types.v1.CatchUpPackage.pb").exists(), "the end of the removal")
    assert list((node.root / "data/ic_state").iterdir()) == [deltas]
    assert (list(deltas.iterdir()), pool.exists()) == ([], False)
    calls = len(node.calls())
    rounds = len(node.nns.requests) + 5
    wait_for(lambda: len(node.nns.requests) > rounds, "further rounds")
    assert len([call for call in node.calls()[calls:] if "fstrim" in call]) == 0, "it is done once"
    process.terminate()
    assert process.wait(60) == 0
    assert "replica: sync_fstrim.sh: exit status 1: " in process.stdout.read()


def test_the_dashboard_counts_ssh_keys(node):
    node.script("read-ssh-keys.sh", '#!/bin/sh\n[ "$1" != backup ] || exit 3\nprintf "one\\ntwo $1"\n')
    node.orchestrate()
    wait_for(node.replicas, "the replica")
    shown = node.get(node.dashboard, "/ssh-keys")
    assert shown == "readonly: 2\nbackup: read-ssh-keys.sh backup: exit status 3: \nadmin: 2\n"


def test_a_replica_that_ended_is_started_again(node):
    node.orchestrate()
    pid = int(wait_for(node.replicas, "the replica")[0].split()[0])
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(node.replicas()) == 2, "another replica")


def test_ssh_keys_have_no_final_newline(node):
    node.nns.registry = {"registry_version": 1, "ssh_keys": {"readonly": ["ssh-ed25519 AAAA a", "ssh-ed25519 AAAA b"]}}
    node.orchestrate()
    wait_for(lambda: len(node.calls()) == 3, "both accounts")
    assert node.calls() == ["confirm", "readonly", "backup"]
    assert (node.root / "stdin.readonly").read_text() == "ssh-ed25519 AAAA a\nssh-ed25519 AAAA b"
    assert (node.root / "stdin.backup").read_text() == ""
    node.nns.registry = {"registry_version": 2}
    wait_for(lambda: len(node.calls()) == 5, "the new registry")
    assert (node.root / "stdin.readonly").read_text() == ""


def test_firewall_rules_of_the_registry(node):
    path = node.root / "run/nftables.conf"
    node.nns.registry = {"registry_version": 1, "nodes": ["2001:db8::7"], "firewall_rules": [RULE]}
    node.orchestrate()
    wait_for(path.exists, "the rules")
    text = path.read_text()
    assert "ip6 saddr {2001:db8::7} ct state { new } tcp dport {2497,4100,8080} accept # Automatic" in text
    assert "ip6 saddr {::/0} ct state { new } tcp dport {22} accept # test" in text
    node.nns.registry = {"registry_version": 2}
    wait_for(lambda: "Default rule" in path.read_text(), "the default rules")


IPV4 = {"ip_addr": "192.0.2.5", "prefix_length": 24, "gateway_ip_addr": ["192.0.2.1"]}
SET_IPV4 = "--ipv4-address=192.0.2.5 --ipv4-prefix-length=24 --ipv4-gateway=192.0.2.1"


@pytest.fixture
def sudo(node, monkeypatch):
    """A fake of sudo, which is found by PATH; returns a function that returns the commands that it got."""
    node.script("sudo", f'#!/bin/sh\necho "$@" >>{node.root}/sudo\n! test -e {node.root}/refuse || exit 7\n')
    monkeypatch.setenv("PATH", f"{node.root}/bin:{os.environ['PATH']}")
    path = node.root / "sudo"
    return lambda: path.read_text().splitlines() if path.exists() else []


def test_the_ipv4_address_of_the_registry_is_set_once(node, sudo):
    command = f"{node.root}/bin/guestos_tool regenerate-network-config"
    node.nns.registry["public_ipv4_config"] = IPV4
    process = node.orchestrate()
    wait_for(sudo, "the address")
    rounds = len(node.nns.requests) + 5
    wait_for(lambda: len(node.nns.requests) > rounds, "further rounds")
    node.nns.registry = {"registry_version": 2, "public_ipv4_config": None}
    wait_for(lambda: len(sudo()) > 1, "the removal")
    rounds = len(node.nns.requests) + 5
    wait_for(lambda: len(node.nns.requests) > rounds, "further rounds")
    assert sudo() == [f"{command} {SET_IPV4}", command]
    process.terminate()
    assert process.wait(60) == 0
    shown = process.stdout.read()
    assert "the IPv4 address is 192.0.2.5/24\n" in shown
    assert "the IPv4 address is none\n" in shown


def test_a_node_without_an_ipv4_address_of_the_registry_keeps_its_own(node, sudo):
    node.orchestrate()
    wait_for(node.replicas, "the replica")
    rounds = len(node.nns.requests) + 5
    wait_for(lambda: len(node.nns.requests) > rounds, "further rounds")
    assert sudo() == []


def test_an_ipv4_address_that_is_refused_is_tried_again(node, sudo):
    (node.root / "refuse").touch()
    node.nns.registry["public_ipv4_config"] = IPV4
    process = node.orchestrate()
    wait_for(lambda: len(sudo()) > 2, "further tries")
    (node.root / "refuse").unlink()
    assert any("the IPv4 address is 192.0.2.5/24" in line for line in iter(process.stdout.readline, ""))
    assert set(sudo()) == {f"{node.root}/bin/guestos_tool regenerate-network-config {SET_IPV4}"}


def test_an_ipv4_address_without_a_gateway_is_an_error(node, sudo):
    node.nns.registry["public_ipv4_config"] = IPV4 | {"gateway_ip_addr": []}
    process = node.orchestrate()
    expected = "registry: public_ipv4_config.gateway_ip_addr: has no gateway"
    assert any(expected in line for line in iter(process.stdout.readline, ""))
    assert sudo() == []


@pytest.fixture
def update(node):
    """A node whose registry has another version; manageboot.sh keeps a copy of what it installs."""
    script = f"""#!/bin/sh
echo "$*" >>{node.root}/calls
case $1 in
upgrade-install) cp "$2" {node.root}/installed ;;
upgrade-commit) cp -r {node.root}/data {node.root}/at-commit ;;
esac
"""
    node.script("manageboot.sh", script)
    node.nns.files["/update-img.tar.zst"] = IMAGE
    release = {
        "version": "2.0",
        "release_package_url": f"{node.nns.url}/update-img.tar.zst",
        "release_package_sha256_hex": hashlib.sha256(IMAGE).hexdigest(),
    }
    node.nns.registry["replica_version"] = release
    return release


def test_an_upgrade_is_installed_and_committed(node, update):
    process = node.orchestrate()
    assert process.wait(60) == 42
    image = node.root / "data/images/image.bin"
    assert node.calls() == ["confirm", f"upgrade-install {image}", "upgrade-commit"]
    assert (node.root / "installed").read_bytes() == IMAGE
    assert not image.exists()
    assert not (node.root / "at-commit/images/image.bin").exists()
    reboot = int((node.root / "at-commit/orchestrator/reboot_time.txt").read_text())
    assert abs(time.time() - reboot) < 600


def test_the_installed_version_is_not_installed_again(node, update):
    (node.root / "version.txt").write_text("2.0\n")
    node.orchestrate()
    wait_for(node.replicas, "the replica")
    assert not any(call.startswith("upgrade") for call in node.calls())


def test_an_image_that_is_there_is_not_downloaded(node, update):
    (node.root / "data/images").mkdir()
    (node.root / "data/images/image.bin").write_bytes(IMAGE)
    assert node.orchestrate().wait(60) == 42
    assert ("GET", "/update-img.tar.zst", None) not in node.nns.requests


def test_a_wrong_checksum_is_not_installed(node, update):
    node.nns.files["/update-img.tar.zst"] = b"another image"
    process = node.orchestrate()
    wait_for(node.replicas, "the replica, in spite of the failed upgrade")
    assert not any(call.startswith("upgrade") for call in node.calls())
    node.nns.files["/update-img.tar.zst"] = IMAGE
    assert process.wait(60) == 42


def test_a_failed_installation_is_tried_again(node, update):
    flag = node.root / "second"
    node.script(
        "manageboot.sh", f'#!/bin/sh\n[ "$1" = upgrade-install ] && [ ! -e {flag} ] && >{flag} && exit 1\nexit 0\n'
    )
    process = node.orchestrate()
    assert process.wait(60) == 42
    assert "upgrade: manageboot.sh upgrade-install" in process.stdout.read()


def test_sigterm_does_not_stop_a_commit(node, update):
    script = f"""#!/bin/sh
[ "$1" != upgrade-commit ] && exit 0
kill -TERM $PPID
sleep 0.2
echo committed >{node.root}/committed
"""
    node.script("manageboot.sh", script)
    assert node.orchestrate().wait(60) == 42
    assert (node.root / "committed").exists()


@pytest.mark.parametrize("program", ["vsock_guest", "vsock_agent"])
def test_the_host_is_told_where_there_is_a_program(node, program):
    node.script(program, f'#!/bin/sh\nprintf "%s\\n" "$@" >{node.root}/host\n')
    node.orchestrate()
    wait_for(node.calls, "the confirmation")
    words = (node.root / "host").read_text().splitlines()
    assert (words[0], words[2:]) == ("--notify", ["--count", "1"])
    assert words[1].endswith(": starting with version 1.0")


def test_the_hsm_signs_without_a_key_in_a_file(node, monkeypatch):
    (node.root / "data/node_operator_private_key.pem").unlink()
    node.script("vsock_guest", f"#!/bin/sh\necho $1 >>{node.root}/host\n")
    node.script("pkcs11-tool", f"#!/bin/sh\necho pkcs11-tool $* of $(wc -c) bytes >>{node.root}/host\necho key\n")
    monkeypatch.setenv("PATH", f"{node.root}/bin:{os.environ['PATH']}")
    node.orchestrate()
    wait_for(node.calls, "the confirmation")
    assert node.nns.requests[0][2]["signer"] == "HSM"
    assert (node.root / "host").read_text().splitlines() == [
        "--notify",
        "--attach-hsm",
        "pkcs11-tool --read-object --slot 0 --type pubkey --id 01 of 0 bytes",
        "pkcs11-tool --slot 0 --pin 358138 --sign --id 01 --mechanism ECDSA of 32 bytes",
        "--detach-hsm",
    ]


def test_an_hsm_that_does_not_sign_does_not_register_the_node(node, monkeypatch):
    (node.root / "data/node_operator_private_key.pem").unlink()
    node.script("pkcs11-tool", "#!/bin/sh\ncase $* in *--sign*) exit 1 ;; esac\necho key\n")
    monkeypatch.setenv("PATH", f"{node.root}/bin:{os.environ['PATH']}")
    process = node.orchestrate()
    expected = "waiting: nothing can sign the registration: pkcs11-tool does not sign"
    assert any(expected in line for line in iter(process.stdout.readline, ""))
    assert node.nns.requests == []


def test_a_key_that_cannot_be_looked_for_counts_as_missing(node):
    # Root may look everywhere; a name that is too long leads to an error for everybody.
    node.config.write_text(node.config.read_text().replace("test_key.pem", f"{'long' * 100}.pem"))
    node.orchestrate()
    wait_for(node.calls, "the confirmation")
    assert node.nns.requests[0][2]["signer"] == "node_operator_private_key.pem"


def test_prints_the_id_of_the_node(node):
    process = node.orchestrate(node_id="")
    assert process.wait(60) == 0
    assert len(process.stdout.read().strip()) == 64
    assert node.nns.requests == []


@pytest.mark.parametrize("missing", ["replica-binary-dir", "cup-dir", "replica-config-file", "version-file"])
def test_a_missing_flag_ends_it(node, missing):
    process = node.orchestrate(**{missing.replace("-", "_"): None})
    assert process.wait(60) == 2
    assert f"required: --{missing}" in process.stderr.read()


@pytest.mark.parametrize(
    ("flag", "value", "code", "message"),
    [
        ("port", "1", 2, "unrecognized arguments: --port 1"),
        ("version", "1", 2, "unrecognized arguments: --version 1"),
        ("version_file", "/nothing", 1, "--version-file: "),
        ("cup_dir", "/nothing/cups", 1, "/nothing/cups: cannot be made: No such file or directory"),
        ("replica_config_file", "/nothing", 1, "/nothing: No such file or directory"),
        ("metrics_listen_addr", "localhost:1", 2, "argument --metrics-listen-addr"),
    ],
)
def test_other_flags_end_it(node, flag, value, code, message):
    process = node.orchestrate(**{flag: value})
    assert process.wait(60) == code
    assert message in process.stderr.read()


def test_a_file_without_a_version_ends_it(node):
    (node.root / "version.txt").write_text("1 0\n")
    process = node.orchestrate()
    assert process.wait(60) == 1
    assert "'1 0' is not a version" in process.stderr.read()


def test_the_files_that_it_makes_are_for_their_groups(node):
    before = os.umask(0o026)
    try:
        node.orchestrate()
    finally:
        os.umask(before)
    wait_for(node.replicas, "the replica")
    assert stat.S_IMODE((node.root / "data/images").stat().st_mode) == 0o751
