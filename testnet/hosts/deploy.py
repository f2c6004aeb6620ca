"""Brings a deployment to its hosts, upgrades and removes it: the files that this needs, and the call of Ansible.

In the deployment's folder on this machine:

lock, ssh/              as for a deployment on this machine (testnet/local/state.py)
hosts.json              Ansible's inventory: the hosts with their guests, and the nodes
ssh/nodes               configuration of OpenSSH for the nodes, which are reached through their hosts
NODE/medium.img         the node's bootstrap medium
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testnet.hosts.checks import check_deployment, check_hosts, hosts_of, ssh_options
from testnet.inventory.deployment import Deployment, Host, Node
from testnet.local import medium, ssh
from testnet.local.deploy import Request
from testnet.local.requirements import TRANSLATED_MIB, open_disk
from testnet.local.rollout import stages
from testnet.local.state import HOST, UPGRADE_LOCK, LocalNode, State, planned
from testnet.local.update_version import version_of
from tools.core.errors import CheckError, UserError
from tools.core.outputs import replacing, write_all
from tools.image.rawfile import write_raw

_PLAYBOOKS = Path(__file__).parents[1] / "ansible"
MEDIUM = "medium.img"
_INVENTORY = "hosts.json"
_NODES = "nodes"
_NAMESPACE = uuid.UUID("5b0b4a30-2c1e-4c57-9d4c-8a2a0a0f1d17")
"""Of the UUIDs of guests (RFC 9562, section 5.5)."""


def deploy(state: State, request: Request, config: str | None, *, dry_run: bool = False) -> None:
    """Defines and starts all guests of a deployment; those that run are left alone.

    Args:
        state: of the deployment; its files are kept there until it is destroyed.
        request: what to deploy.
        config: configuration of OpenSSH for the hosts; None for the user's.
        dry_run: whether Ansible only says what it would do, in its check mode.

    Raises:
        UserError: something is wrong or missing; nothing was started.
        CheckError: Ansible failed, and said why.
    """
    check_deployment(request.deployment)
    if not request.disk.endswith(".tar"):
        raise UserError(f"--disk: {request.disk}: must be a tar, in which the holes of the disk take no space")
    check_hosts(request.deployment, open_disk(request.disk), config)
    if dry_run and not (state.folder / _INVENTORY).exists():
        with tempfile.TemporaryDirectory() as folder:
            _deploy(State(Path(folder), state.name), request, config, ["--check"])
    else:
        _deploy(state, request, config, ["--check"] if dry_run else [])


def _deploy(state: State, request: Request, config: str | None, options: Sequence[str]) -> None:
    with state.locked():
        keys = ssh.write_key(state) + request.keys
        nodes = planned(request.deployment)
        for node in nodes:
            _write_medium(state, node, nodes, keys)
        value = inventory(state, request.deployment)
        for path, text in (
            (state.folder / _INVENTORY, json.dumps(value, indent=2)),
            (node_ssh_config(state), node_config(state, request.deployment, config)),
        ):
            with replacing(path, secret=True) as file:
                write_all(file, text.encode())
        archive = str(Path(request.disk).absolute())
        _play(state, "playbook.yml", config, {"ic_state": "present", "ic_archive": archive}, options)


def _write_medium(state: State, node: LocalNode, nodes: Sequence[LocalNode], keys: str) -> None:
    path = state.node_folder(node) / MEDIUM
    path.parent.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():
        write_raw(medium.node_medium(node, nodes, keys), path, secret=True)


def destroy(state: State, config: str | None) -> None:
    """Destroys all guests of a deployment, with their files on the hosts and those on this machine.

    Raises:
        CheckError: Ansible failed, and said why; the files on this machine are kept, so that it can be tried again.
    """
    with state.locked():
        _play(state, "playbook.yml", config, {"ic_state": "absent"}, [])
        state.remove()


def upgrade(state: State, names: Sequence[str], image: Path, timeout: float) -> None:
    """Upgrades nodes one after the other, unless they have the version; halts at the first one that fails.

    Args:
        state: of the deployment.
        names: of the nodes; empty for all.
        image: the update image.
        timeout: how long a node's new system may take until it is confirmed, in seconds.

    Raises:
        UserError: the image cannot be read.
        CheckError: Ansible failed, and said why.
    """
    version = version_of(image)
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    variables = {
        "ic_image": str(image.absolute()),
        "ic_version": version,
        "ic_sha256": digest,
        "ic_ssh_config": str(node_ssh_config(state)),
        "ic_timeout": str(round(timeout)),
    }
    with state.locked(UPGRADE_LOCK):
        _play(state, "upgrade.yml", None, variables, ["--limit", ",".join(names)] if names else [])


def node_ssh_config(state: State) -> Path:
    """Returns the path of the configuration of OpenSSH in which the nodes have their names."""
    return (state.ssh_folder / _NODES).absolute()


def node_names(state: State) -> list[str]:
    """Returns the names of the nodes of a deployment on hosts."""
    value = json.loads((state.folder / _INVENTORY).read_bytes())
    return list(value["nodes"]["hosts"])


def is_on_hosts(state: State) -> bool:
    """Returns whether a deployment is one on other hosts."""
    return (state.folder / _INVENTORY).exists()


def inventory(state: State, deployment: Deployment) -> dict[str, Any]:
    """Returns Ansible's inventory of the hosts (Ansible documentation, "How to build your inventory")."""
    hosts = {name: _variables(state, nodes) for name, nodes in hosts_of(deployment).items()}
    order = [node.name for stage in stages(planned(deployment)) for node in stage]
    access = {
        "ansible_ssh_args": shlex.join(["-F", str(node_ssh_config(state)), *ssh_options(None)]),
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    return {
        "physical_hosts": {"hosts": hosts, "vars": {"ic_deployment": deployment.name}},
        "nodes": {"hosts": {name: {} for name in order}, "vars": access},
    }


def node_config(state: State, deployment: Deployment, config: str | None) -> str:
    """Returns a configuration for OpenSSH in which the nodes have their names, and are reached through their hosts."""
    parts = []
    for nodes in hosts_of(deployment).values():
        host = nodes[0].host
        to = ["-p", str(host.port)] if host.port else []
        to += ["-l", host.user] if host.user else []
        for number, node in enumerate(nodes):
            address = str(node.address.ip) if host.bridge else HOST
            port = 22 if host.bridge else host.ssh_port + number
            hop = ["ssh", *ssh_options(config), "-W", f"[{address}]:{port}", *to, host.address]
            parts.append(
                ssh.host_section(state, node.name, node.hostname, {"ProxyCommand": shlex.join(hop).replace("%", "%%")})
            )
    return "\n".join(parts)


def _variables(state: State, nodes: Sequence[Node]) -> dict[str, Any]:
    host = nodes[0].host
    guests = [_guest(state, node, host.ssh_port + number) for number, node in enumerate(nodes)]
    own: dict[str, Any] = {
        "ansible_host": host.address,
        "ic_libvirt_uri": host.libvirt_uri,
        "ic_folder": host.folder,
        "ic_bridge": host.bridge,
        "ic_guests": guests,
    }
    return own | _connection(host)


def _connection(host: Host) -> dict[str, Any]:
    given = {"ansible_port": host.port, "ansible_user": host.user, "ansible_become": host.become or None}
    return {name: value for name, value in given.items() if value is not None}


def _guest(state: State, node: Node, port: int) -> dict[str, Any]:
    return {
        "name": node.name,
        "folder": f"{state.name}/{node.name}",
        "uuid": str(uuid.uuid5(_NAMESPACE, f"{node.name}/{node.mac}")),
        "mac": node.mac,
        "memory_mib": node.host.memory_mib,
        "translated_mib": TRANSLATED_MIB,
        "cores": node.host.cores,
        "disk_gb": node.host.disk_gb,
        "ssh_port": port,
        "medium": str((state.folder / node.name / MEDIUM).absolute()),
    }


def _play(
    state: State, playbook: str, config: str | None, variables: Mapping[str, str], options: Sequence[str]
) -> None:
    """Runs a playbook.

    Raises:
        CheckError: it failed; Ansible has said why.
    """
    words = [sys.executable, "-m", "ansible", "playbook", "--inventory", str(state.folder / _INVENTORY)]
    words += ["--extra-vars", json.dumps(dict(variables)), *options, str(_PLAYBOOKS / playbook)]
    with tempfile.TemporaryDirectory(prefix="ansible-") as home:
        settings = {
            "ANSIBLE_HOME": home,
            "ANSIBLE_LOCAL_TEMP": home,
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "ANSIBLE_SSH_ARGS": shlex.join([*ssh_options(config), "-o", "ControlMaster=no"]),
            "ANSIBLE_PIPELINING": "True",
            "ANSIBLE_PYTHON_INTERPRETER": "auto_silent",
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        }
        sys.stdout.flush()
        if subprocess.run(words, env={**os.environ, **settings}, check=False).returncode != 0:
            raise CheckError
