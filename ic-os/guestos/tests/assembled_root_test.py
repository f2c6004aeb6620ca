"""Tests of the assembled root file system that hold for the packages of each distribution."""

import os
import re
from fnmatch import fnmatch
from pathlib import Path

import pytest

from guestos_tools.hardening import PRIVILEGED
from tools.inspect.volumes import open_partition, read_tree
from tools.tree.node import File, Symlink, walk

ROOT = Path(__file__).absolute().parents[3]
IMAGE = Path(os.environ.get("TEST_SRCDIR", ROOT), os.environ.get("TEST_WORKSPACE", ""))
IMAGE /= os.environ.get("ROOTFS_IMAGE", "ic-os/guestos/dev/rootfs_image.img.tar")

SYSTEM = "etc/systemd/system"
UNITS = (SYSTEM, "usr/lib/systemd/system")


@pytest.fixture(scope="module")
def nodes():
    """The files and directories of the root file system by their paths."""
    return {os.fsdecode(path): node for path, node in walk(read_tree(open_partition(IMAGE), str(IMAGE)))}


def text(node):
    return node.content.read(0, node.content.size).decode()


def unit(nodes, name):
    """Returns the file of a unit; None if there is none."""
    return next((nodes[f"{folder}/{name}"] for folder in UNITS if f"{folder}/{name}" in nodes), None)


def is_masked(node):
    return node.content.size == 0 if isinstance(node, File) else os.fsdecode(node.target) == "/dev/null"


def pulled_in(nodes, name):
    """Returns what pulls a unit in: links of the packages, and our own lists."""
    links = re.compile(r".*/systemd/system/[^/]+\.(wants|requires)/" + re.escape(name))
    lists = re.compile(rf"^(Wants|Requires)=(.* )?{re.escape(name)}( |$)", re.MULTILINE)
    return sorted(
        path
        for path, node in nodes.items()
        if links.fullmatch(path)
        or (path.startswith(f"{SYSTEM}/") and isinstance(node, File) and lists.search(text(node)))
    )


@pytest.mark.parametrize(
    "path",
    [
        "usr/bin/openssl",
        "usr/bin/pkcs11-tool",
        "usr/bin/prometheus-node-exporter",
        "usr/lib/systemd/systemd-journal-gatewayd",
        "usr/sbin/fstrim",
        "usr/sbin/mkfs.xfs",
        "usr/sbin/pcscd",
        "usr/sbin/resize2fs",
        "usr/sbin/rsyslogd",
        "usr/sbin/xfs_growfs",
    ],
)
def test_programs_of_services_are_there(nodes, path):
    assert nodes[path].permissions & 0o111 == 0o111


@pytest.mark.parametrize("name", ["libgcc_s.so.1", "liblmdb.so.0", "libselinux.so.1", "libunwind.so.8"])
def test_libraries_of_the_replica_are_there(nodes, name):
    assert f"usr/lib/x86_64-linux-gnu/{name}" in nodes


@pytest.mark.parametrize("name", ["imjournal", "mmjsonparse", "omelasticsearch"])
def test_modules_of_rsyslog_are_there(nodes, name):
    assert f"usr/lib/x86_64-linux-gnu/rsyslog/{name}.so" in nodes


# Kernel modules by what needs them.
MODULES = {
    "the disk and its file systems": "virtio_pci virtio_blk virtio_scsi sd_mod dm_verity dm_crypt ext4 xfs",
    "a bootstrap medium on USB": "xhci_pci ehci_pci usb_storage uas vfat",
    "the network": "virtio_net af_packet tcp_bbr sch_fq",
    "the firewall": "nf_tables nft_ct nft_limit nft_connlimit nft_reject_inet nft_log",
    "a TPM": "tpm_tis tpm_crb",
    "the host": "vmw_vsock_virtio_transport virtio_rng virtio_balloon",
    "the watchdog": "softdog",
}


@pytest.fixture(scope="module")
def modules(nodes):
    """The names of the kernel's modules, with those that are built into it."""
    names = [path for path in nodes if re.fullmatch(r"usr/lib/modules/[^/]+/kernel/.*\.ko(\.\w+)?", path)]
    (builtin,) = (node for path, node in nodes.items() if re.fullmatch(r"usr/lib/modules/[^/]+/modules\.builtin", path))
    return {os.path.basename(path).partition(".ko")[0].replace("-", "_") for path in [*names, *text(builtin).split()]}


@pytest.mark.parametrize("what", MODULES)
def test_kernel_modules_are_there(modules, what):
    assert set(MODULES[what].split()) - modules == set()


def is_ubuntu(nodes):
    return "ID=ubuntu" in text(nodes["usr/lib/os-release"]).splitlines()


def test_the_default_character_set_of_vfat_is_there(nodes, modules):
    # FAT_DEFAULT_IOCHARSET of the kernels
    assert ("nls_iso8859_1" if is_ubuntu(nodes) else "nls_ascii") in modules


def test_modules_of_devices_that_no_virtual_machine_has_are_left_out(nodes):
    drivers = "accel|bluetooth|comedi|gpu|iio|infiniband|media|net/wireless|staging"
    folders = rf"drivers/({drivers})|sound|net/(bluetooth|mac80211|wireless)"
    assert not [path for path in nodes if re.match(rf"usr/lib/modules/[^/]+/kernel/({folders})/", path)]


@pytest.mark.parametrize("index", ["modules.dep", "modules.dep.bin"])
def test_the_index_names_the_modules_that_are_there(nodes, index):
    found = {path for path in nodes if re.fullmatch(r"usr/lib/modules/[^/]+/kernel/.*\.ko(\.\w+)?", path)}
    (folder,) = {"/".join(path.split("/")[:4]) for path in found}
    content = nodes[f"{folder}/{index}"].content
    named = re.findall(rb"kernel/[\w./+-]+\.ko(?:\.[a-z]+)?(?=[:\s\0]|$)", content.read(0, content.size))
    assert {f"{folder}/{os.fsdecode(name)}" for name in named} == found


def test_aliases_are_those_of_modules_that_are_there(nodes, modules):
    (path,) = (path for path in nodes if re.fullmatch(r"usr/lib/modules/[^/]+/modules\.alias", path))
    assert set(re.findall(r"^alias \S+ (\S+)$", text(nodes[path]), re.MULTILINE)) - modules == set()


def test_the_watchdog_of_qemu_has_a_driver_or_a_fallback(nodes, modules):
    """Ubuntu has i6300esb in another package; watchdog-fallback.service takes softdog there."""
    assert "i6300esb" in modules or is_ubuntu(nodes)


def test_tmp_is_a_file_system_of_its_own(nodes):
    assert f"{SYSTEM}/local-fs.target.d/10-guestos.conf" in pulled_in(nodes, "tmp.mount")
    mount = text(unit(nodes, "tmp.mount"))
    assert "Type=tmpfs" in mount
    assert not isinstance(nodes["tmp"], Symlink)


def test_ssh_listens_by_itself(nodes):
    """A socket unit would listen before anybody has a key, and the service of Ubuntu would need it."""
    assert pulled_in(nodes, "ssh.socket") == []
    assert f"{SYSTEM}/multi-user.target.d/10-guestos.conf" in pulled_in(nodes, "ssh.service")
    service = unit(nodes, "ssh.service")
    assert not is_masked(service)
    assert "ssh.socket" not in text(service)


@pytest.mark.parametrize(
    "name", ["motd-news.timer", "prometheus-node-exporter.service", "rsyslog.service", "xfs_scrub_all.timer"]
)
def test_services_of_packages_that_ours_replace_are_off(nodes, name):
    node = unit(nodes, name)
    assert node is None or is_masked(node)


@pytest.mark.parametrize("name", ["node_exporter.service", "systemd-journal-gatewayd.socket", "log-shipping.service"])
def test_our_services_are_on(nodes, name):
    assert pulled_in(nodes, name) == [f"{SYSTEM}/multi-user.target.d/10-guestos.conf"]
    assert not is_masked(unit(nodes, name))


def test_timers_are_on(nodes):
    assert pulled_in(nodes, "fstrim.timer")
    assert pulled_in(nodes, "monitor-expand-shared-data.timer")


def test_programs_that_units_start_are_there(nodes):
    folders = {"/bin": "usr/bin", "/sbin": "usr/sbin"}
    missing = []
    for path, node in nodes.items():
        if not path.startswith(f"{SYSTEM}/") or not isinstance(node, File):
            continue
        for program in re.findall(r"^Exec\w+=[-+!:@]*(/\S+)", text(node), re.MULTILINE):
            folder, name = os.path.split(program)
            if f"{folders.get(folder, folder[1:])}/{name}" not in nodes:
                missing.append((path, program))
    # Release binaries that are not in the reference payload; their units have a condition.
    assert [pair for pair in missing if not pair[1].startswith("/opt/ic/bin/ic-")] == []


def test_users_of_our_units_are_accounts(nodes):
    accounts = {line.split(":")[0] for line in text(nodes["etc/passwd"]).splitlines()}
    for path, node in nodes.items():
        if path.startswith(f"{SYSTEM}/") and isinstance(node, File):
            assert set(re.findall(r"^User=(\S+)", text(node), re.MULTILINE)) <= accounts, path


def test_programs_with_privileges_are_known(nodes):
    found = sorted(f"/{path}" for path, node in nodes.items() if isinstance(node, File) and node.permissions & 0o6000)
    assert found == list(PRIVILEGED)
    # File capabilities (capabilities(7)) are privileges, too.
    capable = [path for path, node in nodes.items() if any(b"capability" in name for name in node.xattrs)]
    assert capable == (["usr/bin/ping"] if is_ubuntu(nodes) else [])


def denied(nodes):
    """Returns the modules that modprobe does not load."""
    return set(re.findall(r"^install (\S+) /usr/bin/false$", text(nodes["etc/modprobe.d/guestos.conf"]), re.MULTILINE))


@pytest.mark.parametrize("name", ["sctp", "dccp", "tipc", "rds", "firewire_core", "cramfs", "udf", "squashfs"])
def test_modules_that_nothing_uses_are_denied(nodes, name):
    assert name in denied(nodes)


@pytest.mark.parametrize("name", ["usb_storage", "vfat", "ext4", "xfs", "dm_crypt", "softdog", "vsock", "tcp_bbr"])
def test_modules_that_the_system_uses_are_not_denied(nodes, name):
    assert name not in denied(nodes)


def test_no_service_has_a_user_namespace(nodes):
    """The kernel's limit of them is 0, so that such a service would not start."""
    setting = re.compile(r"^PrivateUsers=(?!no$)(.*)$", re.MULTILINE)
    found = {
        os.path.basename(path)
        for path, node in nodes.items()
        if os.path.dirname(path) in UNITS and path.endswith(".service") and isinstance(node, File)
        if setting.search(text(node))
    }
    without = {name for name in found if f"{SYSTEM}/{name}.d/10-guestos.conf" in nodes}
    assert found - without == set()
    for name in without:
        assert "\nPrivateUsers=no\n" in text(nodes[f"{SYSTEM}/{name}.d/10-guestos.conf"])


def settings(nodes):
    """Returns the names of settings of the kernel (sysctl.d(5)), by the path of their file."""
    folders = ("etc/sysctl.d", "usr/lib/sysctl.d")
    files = {path: node for path, node in nodes.items() if os.path.dirname(path) in folders and isinstance(node, File)}
    setting = re.compile(r"^-?([\w*./-]+)\s*=", re.MULTILINE)
    return {path: set(setting.findall(text(node))) for path, node in files.items() if path.endswith(".conf")}


def test_packages_have_no_settings_of_the_kernel_in_place_of_ours(nodes):
    """One whose file has a later name, or that is about one interface, would have effect instead of ours."""
    found = settings(nodes)
    ours = {path for path in found if re.fullmatch(r"etc/sysctl\.d/(60-guestos|60-replica|70-prod)\.conf", path)}
    assert {"etc/sysctl.d/60-guestos.conf", "etc/sysctl.d/60-replica.conf"} <= ours
    names = {name for path in ours for name in found[path]}
    for path in found.keys() - ours:
        assert [each for each in found[path] for name in names if fnmatch(each, name)] == [], path


def test_what_no_service_needs_is_left_out(nodes):
    assert not [path for path in nodes if re.search(r"/libicu\w*\.so|/xfs_scrub(_all)?$|polkit-agent-helper", path)]
