"""An inventory for tests: four nodes in three groups, on two hosts, of which one is the machine itself."""

TEXT = """\
[nns]
net.0.0 ic_host="h1"
net.0.1 ic_host="h2" ipv6_address="2001:db8::5"

[subnet_2]
net.2.2 ic_host="h1"

[subnet_unassigned]
net.x.3 ic_host="h1" use_hsm=True

[nodes:children]
nns
subnet_2
subnet_unassigned

[physical_hosts]
h1 ansible_connection=local ic_memory_gb=0.75
h2 ansible_host=h2.example ansible_port=2222 ansible_user=me ipv6_prefix="2001:db8::/64"

[physical_hosts:vars]
ic_cores=2
ic_memory_gb=8
"""

LOCAL = TEXT.replace("h2 ansible_host=h2.example", "h2 ansible_connection=local").replace(" use_hsm=True", "")
"""The same where both hosts are the machine itself, without an HSM."""

ONE_HOST = LOCAL.replace('ic_host="h2" ipv6_address="2001:db8::5"', 'ic_host="h1"')
"""The same with all nodes on one of them."""
