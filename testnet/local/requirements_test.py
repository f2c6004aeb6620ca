import dataclasses

import pytest

from testnet.inventory.deployment import build
from testnet.inventory.sample_inventory import LOCAL, ONE_HOST, TEXT
from testnet.local import requirements
from testnet.local.requirements import check_deployment, check_disk, check_memory, check_programs
from tools.core.errors import UserError
from tools.image.extents import Image


def test_a_deployment_on_this_machine():
    check_deployment(build(ONE_HOST, "hosts.ini", "net"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TEXT, "hosts.ini: net.0.1: runs on h2, and other nodes on this machine"),
        (LOCAL, "hosts.ini: h1, h2 are all this machine; name it once"),
        (ONE_HOST.replace('net.x.3 ic_host="h1"', 'net.x.3 ic_host="h1" use_hsm=True'), "net.x.3: use_hsm"),
        (ONE_HOST.replace("ic_memory_gb=0.75", "ic_memory_gb=0.25"), "net.0.0: ic_memory_gb: a machine needs 512 MiB"),
        (ONE_HOST.replace("ic_cores=2", "ic_cores=256"), "net.0.0: ic_cores: a machine has 255 processors at most"),
    ],
)
def test_another_deployment_is_refused(text, message):
    with pytest.raises(UserError) as error:
        check_deployment(build(text, "hosts.ini", "net"))
    assert message in str(error.value)


@pytest.mark.parametrize(("has_kvm", "needed"), [(True, 4 * (1024 + 150)), (False, 4 * (1024 + 150 + 256))])
def test_too_little_memory(nodes, tmp_path, has_kvm, needed):
    nodes = [dataclasses.replace(node, memory_mib=1024) for node in nodes]
    meminfo, kvm = tmp_path / "meminfo", tmp_path / "kvm"
    if has_kvm:
        kvm.touch()
    meminfo.write_text(f"MemTotal:       99999999 kB\nMemAvailable:    {needed << 10} kB\n")
    check_memory(nodes, meminfo, kvm)
    meminfo.write_text(f"MemTotal:       99999999 kB\nMemAvailable:    {(needed << 10) - 1} kB\n")
    with pytest.raises(UserError, match=f"memory: 4 machines need {needed} MiB, and {needed - 1} MiB are available"):
        check_memory(nodes, meminfo, kvm)


def test_too_little_space(nodes, tmp_path):
    check_disk(tmp_path / "not/there", None, nodes)
    huge = Image.from_bytes(b"x").resized(1 << 30)
    check_disk(tmp_path, huge, nodes)
    many = nodes * 1_000_000
    with pytest.raises(UserError, match=r"976563G are needed|T are needed|P are needed"):
        check_disk(tmp_path, None, many)


def test_a_disk_that_is_smaller_than_the_image(nodes, tmp_path):
    image = Image.from_bytes(b"x").resized(101 << 30)
    with pytest.raises(UserError, match=r"net\.0\.0: ic_disk_gb: the image needs 101G at least"):
        check_disk(tmp_path, image, nodes)


def test_missing_programs(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"ssh: not found; install it \(Debian: openssh-client\)"):
        check_programs()
    (tmp_path / "ssh").touch(mode=0o755)
    with pytest.raises(UserError, match=r"qemu-system-x86_64: not found; install QEMU 10 or newer"):
        check_programs()
    monkeypatch.setattr(requirements, "find_qemu", lambda: None)
    monkeypatch.setattr(requirements, "find_firmware", lambda: None)
    with pytest.raises(UserError, match=r"qemu-img: not found; install it \(Debian: qemu-utils\)"):
        check_programs()
