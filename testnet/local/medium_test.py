import json

from testnet.local.medium import configuration, node_medium
from tools.fat.reader import read_fat

KEYS = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4 somebody\n"


def contents(folder, above=""):
    found = {}
    for name, node in folder.sorted_entries():
        path = above + name.decode()
        if hasattr(node, "entries"):
            found |= contents(node, f"{path}/")
        else:
            found[path] = bytes(node.content.read(0, node.content.size)).decode()
    return found


def test_a_node_of_a_subnet(nodes):
    found = contents(configuration(nodes[2], nodes, KEYS))
    assert found["network.conf"] == f"ipv6_address={nodes[2].ip}/64\nhostname=net-2-2\n"
    assert found["accounts_ssh_authorized_keys/admin"] == KEYS
    assert found["nns.conf"] == f"nns_url=http://[{nodes[0].ip}]:8080,http://[2001:db8::5]:8080\n"
    registry = json.loads(found["ic_registry_local_store/stand-in-registry.json"])
    assert registry == {"registry_version": 1, "subnet": "subnet_2", "nodes": [node.ip for node in nodes]}


def test_the_subnets_of_other_nodes(nodes):
    def subnet(node):
        found = contents(configuration(node, nodes, KEYS))
        return json.loads(found["ic_registry_local_store/stand-in-registry.json"]).get("subnet")

    assert [subnet(node) for node in nodes] == ["nns", "nns", "subnet_2", None]


def test_without_a_root_subnet_there_is_no_nns(nodes):
    assert "nns.conf" not in contents(configuration(nodes[2], nodes[2:], KEYS))


def test_the_medium_has_the_archive(nodes):
    image = node_medium(nodes[0], nodes, KEYS)
    assert list(read_fat(image, "medium").root.entries) == [b"ic-bootstrap.tar"]


def test_the_same_node_has_the_same_medium(nodes):
    first, second = (node_medium(nodes[0], nodes, KEYS) for _ in range(2))
    assert first.read(0, first.size) == second.read(0, second.size)
