import json

from testnet.inventory.deployment import build
from testnet.inventory.output import ansible_list, host_variables, media_json, node_list, ssh_config
from testnet.inventory.sample_inventory import TEXT


def test_list_for_ansible():
    listed = ansible_list(build(TEXT, "hosts.ini", "net"))
    assert listed["nns"] == {"hosts": ["net.0.0", "net.0.1"]}
    assert listed["nodes"] == {"children": ["nns", "subnet_2", "subnet_unassigned"]}
    assert listed["physical_hosts"] == {"hosts": ["h1", "h2"], "vars": {"ic_cores": 2, "ic_memory_gb": 8}}
    variables = listed["_meta"]["hostvars"]
    assert set(variables) == {"net.0.0", "net.0.1", "net.2.2", "net.x.3", "h1", "h2"}
    assert variables["net.0.1"]["ipv6_address"] == "2001:db8::5"
    assert variables["net.x.3"]["subnet_index"] is None
    assert json.loads(json.dumps(listed)) == listed


def test_variables_of_a_host():
    deployment = build(TEXT, "hosts.ini", "net")
    assert host_variables(deployment, "h1") == {"ansible_connection": "local", "ic_memory_gb": 0.75}
    assert host_variables(deployment, "net.2.2")["ic_host"] == "h1"


def test_names_and_addresses():
    lines = node_list(build(TEXT, "hosts.ini", "net")).splitlines()
    assert len(lines) == 4
    assert lines[1] == "net.0.1: '2001:db8::5'"


def test_media():
    media = media_json(build(TEXT, "hosts.ini", "net"))
    assert media["deployment"] == "net"
    first, second = media["datacenters"]
    assert (first["name"], len(first["nodes"])) == ("h1", 3)
    assert (second["ipv6_prefix"], second["ipv6_subnet"]) == ("2001:db8:0:0", "/64")
    assert second["nodes"] == [
        {
            "hostname": "net.0.1",
            "node_idx": 1,
            "subnet_idx": 0,
            "subnet_type": "root_subnet",
            "ipv6_address": "2001:db8::5",
            "use_hsm": False,
        }
    ]
    assert [node["subnet_type"] for node in first["nodes"]] == ["root_subnet", "app_subnet", "app_subnet"]


def test_configuration_for_ssh():
    text = ssh_config(build(TEXT, "hosts.ini", "net"))
    assert "Host net.0.1\n    HostName 2001:db8::5\n    User admin\n" in text
