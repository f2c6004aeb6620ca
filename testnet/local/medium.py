"""The bootstrap medium of a node: its network, the keys that log in, and what it knows of the registry at its start.

The reference payload has a JSON document in the place of the registry (ic-os/guestos/payload/README.adoc), which is
written here: the node's subnet, and the addresses of all nodes, which the firewall admits.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from guestos.bootstrap import ACCOUNT_KEYS

from guestos_tools.bootstrap_media import medium
from testnet.local.ssh import ACCOUNT
from testnet.local.state import LocalNode
from tools.image.extents import Image
from tools.tree.node import Directory, File

_REGISTRY = "ic_registry_local_store"
_DOCUMENT = "stand-in-registry.json"
_API_PORT = 8080


def node_medium(node: LocalNode, nodes: Sequence[LocalNode], keys: str) -> Image:
    """Returns the image of a node's medium.

    Args:
        node: the node.
        nodes: all nodes of the deployment.
        keys: public SSH keys, one a line.
    """
    return medium(configuration(node, nodes, keys))


def configuration(node: LocalNode, nodes: Sequence[LocalNode], keys: str) -> Directory:
    """Returns what the archive on a node's medium holds."""
    network = f"ipv6_address={node.address}\nhostname={node.hostname}\n"
    urls = ",".join(f"http://[{each.ip}]:{_API_PORT}" for each in nodes if each.subnet == 0)
    return _folder(
        {
            "network.conf": network,
            **({"nns.conf": f"nns_url={urls}\n"} if urls else {}),
            ACCOUNT_KEYS: {ACCOUNT: keys},
            _REGISTRY: {_DOCUMENT: json.dumps(_registry(node, nodes))},
        }
    )


def _registry(node: LocalNode, nodes: Sequence[LocalNode]) -> dict[str, object]:
    subnet = {} if node.subnet is None else {"subnet": f"subnet_{node.subnet}" if node.subnet else "nns"}
    return {"registry_version": 1, "nodes": [each.ip for each in nodes], **subnet}


def _folder(members: dict[str, str | dict[str, str]]) -> Directory:
    root = Directory()
    for name, content in members.items():
        root.entries[name.encode()] = _folder(dict(content)) if isinstance(content, dict) else _file(content)
    return root


def _file(text: str) -> File:
    return File(content=Image.from_bytes(text.encode()))
