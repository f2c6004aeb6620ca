"""A deployment on two hosts, by SSH, Ansible and libvirt: each host has its own libvirt, with session guests."""

import contextlib
import re
import subprocess
import tarfile

import pytest

from guestos_tools.options import call
from testnet.local.samples import disk
from testnet.local.state import free_ports
from testnet.tests.namespaced_machine import Machine, make_key
from testnet.tools import icos_deploy, icos_destroy
from tools.testing.oracles import oracle

ACCOUNT = "operator"
HOME = f"/home/{ACCOUNT}"
INVENTORY = """\
[nns]
net.0.0 ic_host="h1"
[subnet_1]
net.1.1 ic_host="h1"
net.1.2 ic_host="h2"
[nodes:children]
nns
subnet_1
[physical_hosts]
h1
h2
[physical_hosts:vars]
ic_cores=1
ic_memory_gb=0.5
ic_disk_gb=50
ic_libvirt_uri="qemu:///session"
ic_folder="/home/operator/ic"
"""
SECONDS = 60


class Hosts:
    """Two hosts, and the commands that use them."""

    def __init__(self, folder):
        self.state = folder / "state"
        self._env, self._config = folder / "env", folder / "ssh_config"
        key = make_key(folder / "key")
        ports = dict(zip(("h1", "h2"), free_ports(2), strict=True))
        self.hosts = [Machine(folder / name, ACCOUNT, port, key) for name, port in ports.items()]
        first, _, other = free_ports(3)
        self._ports = {"h1": first, "h2": other}
        self.disk = folder / "disk-img.tar"
        (folder / "disk.img").write_bytes(disk())
        with tarfile.open(self.disk, "w") as archive:
            archive.add(folder / "disk.img", "disk.img")
        (self._env / "net").mkdir(parents=True)
        self.write_inventory(INVENTORY)
        self._config.write_text(
            "".join(f"Host {name}\n    HostName 127.0.0.1\n    Port {port}\n" for name, port in ports.items())
            + f"Host *\n    User {ACCOUNT}\n    IdentityFile {folder}/key\n    IdentitiesOnly yes\n"
            "    StrictHostKeyChecking no\n    UserKnownHostsFile /dev/null\n    LogLevel ERROR\n"
        )

    def write_inventory(self, text):
        """Writes the inventory anew; the hosts share their loopback interface, and so need different ports."""
        for name, port in self._ports.items():
            text = text.replace(f"\n{name}", f"\n{name} ic_ssh_port={port}")
        (self._env / "net/hosts.ini").write_text(text)

    def deploy(self, *words):
        """Returns the exit status of icos_deploy."""
        places = [f"--env={self._env}", f"--disk={self.disk}"]
        return self._call(icos_deploy, *places, *words)

    def destroy(self):
        """Returns the exit status of icos_destroy."""
        return self._call(icos_destroy)

    def _call(self, command, *words):
        options = [f"--state={self.state}", f"--ssh-config={self._config}"]
        return call(command.PROGRAM, command.main, ["net", *options, *words])

    def on(self, host, *words):
        """Returns what a command prints on a host."""
        command = ["ssh", "-F", self._config, "-o", "BatchMode=yes", host, *words]
        result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert result.returncode == 0, result
        return result.stdout

    def guests(self, host):
        """Returns the states of a host's guests, by their names."""
        names = self.on(host, "virsh -c qemu:///session list --all --name").split()
        return {name: self.on(host, f"virsh -c qemu:///session domstate {name}").strip() for name in names}


@pytest.fixture
def hosts(tmp_path, artifacts):
    for program in ("bwrap", "libvirtd", "sshd", "virsh", "qemu-img", "qemu-system-x86_64", "ssh"):
        oracle(program)
    hosts = Hosts(tmp_path)
    with contextlib.ExitStack() as stack:
        for host in hosts.hosts:
            stack.callback(host.stop)
            host.start()
        yield hosts


def recap(output):
    """Returns how many changes Ansible counts, by host."""
    return {host: int(count) for host, count in re.findall(r"^(\w+) +: .*\bchanged=(\d+)", output, re.MULTILINE)}


def test_guests_are_defined_started_and_destroyed(hosts, capfd):
    # Check mode names what would change, and changes nothing.
    assert hosts.deploy("--dry-run") == 0
    assert all(count > 5 for count in recap(capfd.readouterr().out).values())
    assert (hosts.guests("h1"), hosts.guests("h2")) == ({}, {})
    assert [(host.home / "ic").exists() for host in hosts.hosts] == [False, False]
    assert not hosts.state.exists()

    assert hosts.deploy() == 0
    assert min(recap(capfd.readouterr().out).values()) > 5
    assert hosts.guests("h1") == {"net.0.0": "running", "net.1.1": "running"}
    assert hosts.guests("h2") == {"net.1.2": "running"}
    disks = hosts.on("h2", "virsh -c qemu:///session domblklist net.1.2")
    assert f"vda      {HOME}/ic/net/net.1.2/disk.qcow2" in disks
    assert f"sda      {HOME}/ic/net/net.1.2/medium.img" in disks
    # The hosts have no KVM, so the code that QEMU translates is limited, and reserved.
    assert "<tb-cache unit='KiB'>262144</tb-cache>" in hosts.on("h2", "virsh -c qemu:///session dumpxml net.1.2")

    # A guest that has ended is started, and one with another description is defined: each on its host alone.
    hosts.on("h1", "virsh -c qemu:///session destroy net.1.1")
    hosts.write_inventory(INVENTORY.replace("\nh2\n", "\nh2 ic_memory_gb=0.75\n"))
    assert hosts.deploy("--dry-run") == 0
    assert recap(capfd.readouterr().out) == {"h1": 1, "h2": 1}
    assert hosts.guests("h1")["net.1.1"] == "shut off"
    assert hosts.deploy() == 0
    assert recap(capfd.readouterr().out) == {"h1": 1, "h2": 1}
    assert hosts.guests("h1")["net.1.1"] == "running"
    assert "<memory unit='KiB'>786432<" in hosts.on("h2", "virsh -c qemu:///session dumpxml --inactive net.1.2")

    # The same command again changes nothing.
    assert hosts.deploy() == 0
    assert recap(capfd.readouterr().out) == {"h1": 0, "h2": 0}

    assert hosts.destroy() == 0
    assert (hosts.guests("h1"), hosts.guests("h2")) == ({}, {})
    assert [list((host.home / "ic").iterdir()) for host in hosts.hosts] == [[], []]
    assert not hosts.state.exists()
    assert hosts.destroy() == 0
    assert "net: is not deployed here" in capfd.readouterr().err


def test_hosts_that_cannot_run_guests(hosts, capfd):
    def refused(*problems):
        assert hosts.deploy() == 2
        message = capfd.readouterr().err
        assert len(message.splitlines()) == 1
        assert all(problem in message for problem in problems), message

    hosts.write_inventory(INVENTORY.replace("h1\nh2", "h1 ansible_port=1\nh2 ic_libvirt_uri=qemu:///none"))
    refused("h1: cannot be asked by SSH: ", "Connection refused", "h2: libvirt: qemu:///none: ")
    hosts.write_inventory(INVENTORY.replace("memory_gb=0.5", "memory_gb=9999"))
    refused("h1: 2 guests need", "h2: 1 guests need", "MiB are available")
    hosts.write_inventory(INVENTORY.replace("\nh2\n", "\nh2 ansible_connection=local\n"))
    refused("net.0.0: runs on h1, and other nodes on this machine")
    assert (hosts.guests("h1"), hosts.guests("h2")) == ({}, {})
    assert not hosts.state.exists()


def test_a_host_that_fails_meanwhile(hosts, capfd):
    (hosts.hosts[1].home / "ic").write_text("a file")
    assert hosts.deploy() == 1
    assert (hosts.guests("h1"), hosts.guests("h2")) == ({}, {})
