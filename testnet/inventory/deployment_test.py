import ipaddress
import re
from pathlib import Path

import pytest

from testnet.inventory.addresses import local_prefix, slaac
from testnet.inventory.deployment import build, read
from testnet.inventory.sample_inventory import TEXT
from tools.core.errors import UserError

ENVIRONMENTS = Path(__file__).parents[1] / "env"


def edited(*changes):
    text = TEXT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_nodes_and_hosts():
    deployment = build(TEXT, "hosts.ini", "net")
    assert [(node.name, node.hostname, node.subnet, node.index) for node in deployment.nodes] == [
        ("net.0.0", "net-0-0", 0, 0),
        ("net.0.1", "net-0-1", 0, 1),
        ("net.2.2", "net-2-2", 2, 2),
        ("net.x.3", "net-x-3", None, 3),
    ]
    first, second = deployment.hosts
    assert (first.is_local, first.cores, first.memory_mib, first.disk_gb) == (True, 2, 768, 100)
    assert (second.is_local, second.memory_mib) == (False, 8192)
    assert (second.address, second.port, second.user) == ("h2.example", 2222, "me")
    assert [node.use_hsm for node in deployment.nodes] == [False, False, False, True]


def test_addresses_are_given_or_made_of_prefix_and_mac():
    first, second, *_ = build(TEXT, "hosts.ini", "net").nodes
    assert str(second.address) == "2001:db8::5/64"
    assert first.address.ip == slaac(local_prefix("net"), first.mac)
    assert first.address.ip in ipaddress.IPv6Network("fd00::/8")
    # The example of RFC 4291, appendix A, with a prefix.
    assert str(slaac(ipaddress.IPv6Network("2001:db8::/64"), "34:56:78:9a:bc:de")) == "2001:db8::3656:78ff:fe9a:bcde"


def test_addresses_depend_on_the_names_alone():
    again = build(edited(("net.2.2", "net.2.9")), "other.ini", "net").nodes
    nodes = build(TEXT, "hosts.ini", "net").nodes
    assert [node.mac == other.mac for node, other in zip(nodes, again, strict=True)] == [True, True, False, True]
    assert len({node.mac for node in nodes}) == 4
    other = build(TEXT.replace("net.", "two."), "hosts.ini", "two").nodes
    assert not {node.mac for node in nodes} & {node.mac for node in other}


def test_a_node_is_found_by_its_name():
    deployment = build(TEXT, "hosts.ini", "net")
    assert deployment.node("net.2.2") == deployment.node("2.2")
    with pytest.raises(UserError, match=re.escape("hosts.ini; there are net.0.0, net.0.1, net.2.2, net.x.3")):
        deployment.node("2.3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("net.0.1 ic", "net.0.0 ic"), "hosts.ini:3: the node net.0.0 is there already, in line 2"),
        (("net.2.2", "net.2.0"), "hosts.ini:6: net.2.0: the node of line 2 has the index 0, too"),
        (("net.2.2", "net.3.2"), "hosts.ini:6: net.3.2: nodes of [subnet_2] are named net.2.NUMBER"),
        (("net.2.2", "other.2.2"), "hosts.ini:6: other.2.2: nodes of [subnet_2] are named net.2.NUMBER"),
        (("net.x.3", "net.3.3"), "hosts.ini:9: net.3.3: nodes of [subnet_unassigned] are named net.x.NUMBER"),
        (('ic_host="h2"', ""), 'hosts.ini:3: net.0.1: lacks ic_host="HOST"'),
        (
            ('ic_host="h2"', 'ic_host="h3"'),
            "hosts.ini:3: net.0.1: ic_host must be a host of [physical_hosts], not 'h3'",
        ),
        (('ipv6_address="2001:db8::5"', "colour=red"), "hosts.ini:3: net.0.1: the variable colour is not known"),
        (('"2001:db8::5"', "2001::5"), "must be an address of the host's network 2001:db8::/64, not '2001::5'"),
        (('"2001:db8::5"', "10.0.0.1"), "must be an IPv6 address without the length of a prefix, not '10.0.0.1'"),
        (('"2001:db8::5"', "2001:db8::5 node_index=4"), "hosts.ini:3: net.0.1: node_index must be 1, as the name"),
        (("use_hsm=True", "subnet_index=3"), "subnet_index must be left out here, not 3"),
        (("use_hsm=True", "use_hsm=maybe"), "use_hsm must be true or false, not 'maybe'"),
        (("use_hsm=True", "mac_address=ff:ff:ff:ff:ff:ff"), "must be the MAC address of one machine"),
        (("[subnet_2]", "[boundary]"), "hosts.ini:5: the group boundary is not known"),
        (("[subnet_2]", "[subnet_0]"), "hosts.ini:5: the group subnet_0 is not known"),
        (("\nsubnet_2\n", "\n"), "hosts.ini:5: the group subnet_2 is missing in [nodes:children]"),
        (("\nsubnet_2\n", "\nsubnet_2\nsubnet_4\n"), "subnet_4: there is no section [subnet_4] with nodes"),
        (("[nodes:children]", "[nodes]"), "the section [nodes:children] is needed"),
        (("[physical_hosts:vars]", "[nns:vars]"), "the group nns has no variables"),
        (("ic_cores=2", "ic_cores=0"), "hosts.ini:21: h1: ic_cores must be a whole number from 1 to 1024, not 0"),
        (("ic_cores=2", "ic_disk_gb=10"), "ic_disk_gb must be a whole number from 50 to"),
        (("ic_memory_gb=0.75", "ic_memory_gb=lots"), "hosts.ini:17: h1: ic_memory_gb must be a positive number of GiB"),
        (("ic_cores=2", "cores=2"), "[physical_hosts:vars]: the variable cores is not known"),
        (("h2 ansible_host", "h1 ansible_host"), "hosts.ini:18: the host h1 is there already, in line 17"),
        (("connection=local", "connection=smart"), "ansible_connection must be ssh or local, not 'smart'"),
        (("2001:db8::/64", "2001:db8::/48"), "ipv6_prefix must be an IPv6 network of 64 bits"),
        (("ic_cores=2", "ic_folder=images"), "ic_folder must be an absolute path, not 'images'"),
        (("ic_cores=2", "ic_folder=/.."), "ic_folder must be an absolute path, not '/..'"),
        (("ic_cores=2", "ic_bridge='br 0'"), "ic_bridge must be the name of a network device, not 'br 0'"),
        (("ic_cores=2", "ansible_become=maybe"), "ansible_become must be true or false, not 'maybe'"),
    ],
)
def test_an_invalid_inventory_is_an_error_in_one_line(change, message):
    with pytest.raises(UserError) as error:
        build(edited(change), "hosts.ini", "net")
    assert str(error.value).startswith("hosts.ini")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("variable", ["mac_address=6a:01:00:00:00:01", 'ipv6_address="fd01:db8::9"'])
def test_nodes_cannot_share_an_address(variable):
    prefix = ("ic_cores=2", "ic_cores=2\nipv6_prefix='fd01:db8::/64'")
    text = edited(
        ('.0 ic_host="h1"', f'.0 ic_host="h1" {variable}'), ('.2 ic_host="h1"', f'.2 ic_host="h1" {variable}'), prefix
    )
    with pytest.raises(UserError, match=r"hosts.ini:6: net.2.2: the node of line 2 has the (MAC )?address \S+, too"):
        build(text, "hosts.ini", "net")


@pytest.mark.parametrize("name", ["n" * 60, "my_net", "-net"])
def test_nodes_have_names_that_a_machine_can_have(name):
    with pytest.raises(UserError, match=r"^hosts.ini:2: .*is not a name|^hosts.ini:2: .*: is no host name with `-`"):
        build(TEXT.replace("net.", f"{name}."), "hosts.ini", name)
    assert build(TEXT.replace("net.", "n" * 59 + "."), "hosts.ini", "n" * 59).nodes


def test_there_have_to_be_hosts_and_nodes():
    without = TEXT[: TEXT.index("[physical_hosts]")]
    with pytest.raises(UserError, match=r"^hosts.ini: names no physical hosts"):
        build(without, "hosts.ini", "net")
    with pytest.raises(UserError, match=r"^hosts.ini: has no nodes"):
        build("[nns]\n[nodes:children]\nnns\n[physical_hosts]\nh1\n", "hosts.ini", "net")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"hosts\.ini: cannot be read: No such file"):
        read(tmp_path / "hosts.ini", "net")
    (tmp_path / "hosts.ini").write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"hosts\.ini: cannot be read: is not UTF-8"):
        read(tmp_path / "hosts.ini", "net")


@pytest.mark.parametrize("path", sorted(ENVIRONMENTS.glob("*/*.ini")), ids=lambda path: path.parent.name)
def test_inventories_of_the_repository(path):
    assert read(path, path.parent.name).nodes
