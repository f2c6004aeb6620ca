"""The role that upgrades nodes through their hosts. The nodes are stand-ins: SSH, sudo, and a manageboot.sh."""

import contextlib
import json

import pytest

from guestos_tools.options import call
from testnet.hosts import deploy
from testnet.inventory.deployment import build
from testnet.local import ssh
from testnet.local.samples import update_image
from testnet.local.state import State, free_ports
from testnet.tests.namespaced_machine import Machine, make_key
from testnet.tools import manage
from tools.testing.oracles import oracle

INVENTORY = """\
[nns]
net.0.0 ic_host="h1"
[subnet_1]
net.1.1 ic_host="h2"
[subnet_unassigned]
net.x.2 ic_host="h3"
[nodes:children]
nns
subnet_1
subnet_unassigned
[physical_hosts]
"""
NODES = {"net.0.0": "h1", "net.1.1": "h2", "net.x.2": "h3"}
SUDO = """\
#!/bin/sh
while case $1 in -*) ;; *) false ;; esac; do
    case $1 in -u) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
MANAGEBOOT = """\
#!/bin/sh
cd /var/lib/ic
echo "$1" >>calls
case $1 in
    status) printf '{"version": "%s", "stable": true}' "$(cat version)" ;;
    upgrade-install) if [ -e refuses ]; then echo "the signature is wrong" >&2; exit 4; fi ;;
    upgrade-commit)
        [ -e falls-back ] || echo 2.0 >version
        echo 00000000-0000-0000-0000-000000000002 >boot_id
        ;;
esac
"""


class Node(Machine):
    """A stand-in of a node."""

    def __init__(self, folder, port, key):
        super().__init__(folder, ssh.ACCOUNT, port, key)
        self.data = folder / "data"
        self.data.mkdir()
        self.write("version", "1.0\n")
        self.write("boot_id", "00000000-0000-0000-0000-000000000001\n")
        for name, text in {"sudo": SUDO, "manageboot.sh": MANAGEBOOT}.items():
            self.home.joinpath(name).write_text(text)
            self.home.joinpath(name).chmod(0o755)

    def write(self, name, text=""):
        """Writes a file of the node's data."""
        (self.data / name).write_text(text)

    def run(self):
        """Starts the node."""
        self.start(
            *("--ro-bind", str(self.home / "sudo"), "/usr/bin/sudo"),
            *("--tmpfs", "/opt", "--ro-bind", str(self.home / "manageboot.sh"), "/opt/ic/bin/manageboot.sh"),
            *("--tmpfs", "/var/lib", "--bind", str(self.data), "/var/lib/ic"),
            *("--ro-bind", str(self.data / "boot_id"), "/proc/sys/kernel/random/boot_id"),
        )

    @property
    def version(self):
        """The version that runs."""
        return (self.data / "version").read_text().strip()

    def calls(self):
        """Returns what manageboot.sh was called for, besides its status."""
        return [line for line in (self.data / "calls").read_text().split() if line != "status"]


class Fleet:
    """Three nodes, each on a host of its own, where they are reached at the port of a node without a bridge."""

    def __init__(self, folder, stack):
        self.state = State(folder / "state", "net")
        self.image = folder / "update.tar"
        self.image.write_bytes(update_image("2.0"))
        host_key = make_key(folder / "key")
        config = folder / "ssh_config"
        config.write_text(
            f"Host *\n    User operator\n    IdentityFile {folder}/key\n    IdentitiesOnly yes\n"
            "    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n    LogLevel ERROR\n"
        )
        self.nodes, lines = {}, []
        with self.state.locked():
            key = ssh.write_key(self.state)
        for name, host in NODES.items():
            host_port, node_port = free_ports(2)
            lines.append(f"{host} ansible_host=127.0.0.1 ansible_port={host_port} ic_ssh_port={node_port}\n")
            self.nodes[name] = Node(folder / name, node_port, key)
            machine = Machine(folder / host, "operator", host_port, host_key)
            for each, start in ((machine, machine.start), (self.nodes[name], self.nodes[name].run)):
                stack.callback(each.stop)
                start()
        deployment = build(INVENTORY + "".join(lines), "hosts.ini", "net")
        (self.state.folder / "hosts.json").write_text(json.dumps(deploy.inventory(self.state, deployment)))
        (self.state.ssh_folder / "nodes").write_text(deploy.node_config(self.state, deployment, str(config)))

    def upgrade(self, *words):
        """Returns the exit status of the command, and the nodes that have the new version."""
        options = [f"--image={self.image}", f"--state={self.state.folder.parent}", "--timeout=120"]
        status = call(manage.PROGRAM, manage.main, ["upgrade", "net", *options, *words])
        return status, [name for name, node in self.nodes.items() if node.version == "2.0"]


@pytest.fixture
def fleet(tmp_path):
    for program in ("bwrap", "sshd", "ssh", "ssh-keygen"):
        oracle(program)
    with contextlib.ExitStack() as stack:
        yield Fleet(tmp_path, stack)


def test_it_halts_at_a_node_that_fails_and_goes_on(fleet, capfd):
    # The order is: without a subnet, subnet 1, root subnet.
    fleet.nodes["net.1.1"].write("refuses")
    assert fleet.upgrade() == (1, ["net.x.2"])
    assert "the signature is wrong" in capfd.readouterr().out
    assert fleet.nodes["net.x.2"].calls() == ["upgrade-install", "upgrade-commit"]
    assert (fleet.nodes["net.x.2"].data / "data/images/image.bin").read_bytes() == fleet.image.read_bytes()
    assert not (fleet.nodes["net.0.0"].data / "calls").exists()

    # The new system of this one is not confirmed, so the old one runs again.
    (fleet.nodes["net.1.1"].data / "refuses").unlink()
    fleet.nodes["net.1.1"].write("falls-back")
    assert fleet.upgrade("1.1") == (1, ["net.x.2"])
    assert "net.1.1: fell back to version 1.0" in capfd.readouterr().out

    # The same command goes on, and leaves the node alone that has the version.
    (fleet.nodes["net.1.1"].data / "falls-back").unlink()
    fleet.nodes["net.1.1"].write("boot_id", "00000000-0000-0000-0000-000000000001\n")
    assert fleet.upgrade() == (0, ["net.0.0", "net.1.1", "net.x.2"])
    assert fleet.nodes["net.x.2"].calls() == ["upgrade-install", "upgrade-commit"]


def test_what_is_refused(fleet, capfd):
    assert call(manage.PROGRAM, manage.main, ["status", "net", f"--state={fleet.state.folder.parent}"]) == 2
    assert f"net: is on other hosts: use virsh there, and here `ssh -F {fleet.state.ssh_folder}/nodes NODE`" in (
        capfd.readouterr().err
    )
    assert fleet.upgrade("1.7")[0] == 2
    assert "net.1.7: is no node of net; there are net.x.2, net.1.1, net.0.0" in capfd.readouterr().err
    assert fleet.upgrade("--report=file")[0] == 2
    assert "--report: is for deployments on this machine" in capfd.readouterr().err
