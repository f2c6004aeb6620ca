"""Prints an inventory in the forms that other programs read; Ansible takes it as a script, too."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from guestos_tools.options import Parser, run
from testnet.inventory.deployment import Deployment
from testnet.inventory.output import ansible_list, host_variables, media_json, node_list, ssh_config
from testnet.local import ssh
from testnet.tools import places
from tools.core.errors import UserError

PROGRAM = "inventory"


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(PROGRAM, "Prints the inventory of a deployment.")
    places.add_inventory(result)
    places.add_state(result)
    form = result.add_mutually_exclusive_group(required=True)
    form.add_argument("--list", action="store_true", help="all groups, hosts and variables, as JSON for Ansible")
    form.add_argument("--host", metavar="NAME", help="the variables of a node or physical host, as JSON for Ansible")
    form.add_argument("--nodes", action="store_true", help="names and IPv6 addresses of the nodes, as YAML")
    form.add_argument("--media-json", action="store_true", help="what tools that write bootstrap media need, as JSON")
    form.add_argument("--ssh-config", action="store_true", help="a configuration for ssh -F")
    return result


def main(arguments: Sequence[str]) -> None:
    """Prints what the arguments name."""
    places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    deployment = places.deployment(options)
    if options.list:
        text = _json(ansible_list(deployment))
    elif options.host is not None:
        text = _json(_variables(deployment, options.host))
    elif options.nodes:
        text = node_list(deployment)
    elif options.media_json:
        text = _json(media_json(deployment))
    else:
        state = places.state(options)
        nodes = state.nodes()
        text = ssh.config(state, nodes) if nodes else ssh_config(deployment)
    sys.stdout.write(text)


def _variables(deployment: Deployment, name: str) -> dict[str, object]:
    names = [node.name for node in deployment.nodes] + [host.name for host in deployment.hosts]
    if name not in names:
        raise UserError(f"--host: {name}: is neither a node nor a physical host of {deployment.origin}")
    return host_variables(deployment, name)


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


if __name__ == "__main__":
    run(PROGRAM, main)
