"""What hosts must have for a deployment; asked of all of them before anything is written or started."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testnet.inventory.deployment import Deployment, Host, Node
from testnet.local import ssh
from testnet.local.requirements import WRITTEN_BYTES, check_machine, overhead_mib
from tools.core.errors import UserError
from tools.core.text import human_size
from tools.image.extents import Image

PROBE = Path(__file__).with_name("host_probe.py")
_CONNECT_SECONDS = 20
_ANSWER_SECONDS = 120


def ssh_options(config: str | None) -> list[str]:
    """Returns the options of OpenSSH for all hosts; nobody is there to answer questions."""
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={_CONNECT_SECONDS}"]
    return [*(["-F", config] if config else []), *options]


def hosts_of(deployment: Deployment) -> dict[str, list[Node]]:
    """Returns the nodes of each host, by its name; hosts without nodes have no part in a deployment."""
    result: dict[str, list[Node]] = {}
    for node in deployment.nodes:
        result.setdefault(node.host.name, []).append(node)
    return result


def check_deployment(deployment: Deployment) -> None:
    """Checks that the machines of an inventory can be had in QEMU.

    Raises:
        UserError: it does not; the message begins with the file.
    """
    for node in deployment.nodes:
        check_machine(node, f"{deployment.origin}: {node.name}")


def check_hosts(deployment: Deployment, image: Image, config: str | None) -> None:
    """Asks all hosts at the same time whether they can run their guests.

    Args:
        deployment: whose hosts to ask.
        image: the disk that all guests begin with.
        config: configuration of OpenSSH; None for the user's.

    Raises:
        UserError: some can't; the message has the reason of each.
    """
    nodes = list(hosts_of(deployment).values())
    data = sum(extent.length for extent in image.extents)
    for node in deployment.nodes:
        if node.host.disk_gb << 30 < image.size:
            raise UserError(f"{node.name}: ic_disk_gb: the image needs {human_size(image.size)} at least")
    with ThreadPoolExecutor(len(nodes)) as pool:
        problems = list(pool.map(lambda each: _problem(each, data, config), nodes))
    if found := [f"{each[0].host.name}: {text}" for each, text in zip(nodes, problems, strict=True) if text]:
        raise UserError("; ".join(found))


def _problem(nodes: Sequence[Node], data: int, config: str | None) -> str:
    """Returns why a host cannot run its nodes; empty if it can."""
    host = nodes[0].host
    answer = _ask(host, config)
    if answer["problem"]:
        return str(answer["problem"])
    stopped = [node for node in nodes if node.name not in answer["running"]]
    overhead = overhead_mib(emulated=not answer["has_kvm"])
    memory = sum(node.host.memory_mib + overhead for node in stopped)
    if memory > answer["memory_mib"]:
        return f"{len(stopped)} guests need {memory} MiB of memory, and {answer['memory_mib']} MiB are available"
    space = data + len(nodes) * WRITTEN_BYTES if stopped else 0
    if space > answer["folder_bytes"]:
        available = human_size(answer["folder_bytes"])
        return f"{host.folder}: {human_size(space)} are needed for the disks, and {available} are available"
    return ""


def _ask(host: Host, config: str | None) -> dict[str, Any]:
    words = [*(["sudo", "-n"] if host.become else []), "python3", "-IB", "-", host.libvirt_uri, host.folder]
    to = [*(["-p", str(host.port)] if host.port else []), *(["-l", host.user] if host.user else []), "--", host.address]
    command = [ssh.find_ssh(), "-T", *ssh_options(config), *to, shlex.join(words)]
    script = PROBE.read_text("utf-8")
    try:
        result = subprocess.run(
            command, input=script, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False
        )
        answer: dict[str, Any] = json.loads(result.stdout)
    except subprocess.TimeoutExpired:
        return {"problem": f"no answer within {_ANSWER_SECONDS} s"}
    except ValueError:
        said = (result.stderr or result.stdout).strip().splitlines()
        return {"problem": f"cannot be asked by SSH: {said[-1] if said else f'exit status {result.returncode}'}"}
    return answer
