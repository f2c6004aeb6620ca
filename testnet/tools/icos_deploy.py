"""Deploys a test network: starts the machines that an inventory lists."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from guestos_tools.bootstrap_media import read_account_keys
from guestos_tools.options import Parser, run, say
from testnet.hosts import deploy as hosts
from testnet.local.deploy import Request, check, deploy, wait_until_up
from testnet.local.observe import as_json, as_text
from testnet.tools import places
from tools.core.errors import UserError

PROGRAM = "icos_deploy"
_DISK = "TESTNET_DISK"
"""Variable with the path of the disk image that Bazel built, relative to the folder that the program is started in."""


def parser() -> Parser:
    """Returns the parser of the options."""
    result = Parser(
        PROGRAM,
        "Starts the machines of a deployment, and waits until they are up if they are on this machine. Machines that\n"
        "run are left alone; those that were stopped or that ended are started again, with their disks.",
        "example:\n  bazel run //testnet/tools:icos_deploy -- local",
    )
    places.add_inventory(result)
    places.add_state(result)
    result.add_argument("--disk", metavar="FILE", help="the disk image, raw or in a tar (default: the dev image)")
    result.add_argument(
        "--ssh-key", metavar="FILE", action="append", default=[], help="public SSH keys that may log in as admin, too"
    )
    result.add_argument(
        "--timeout", metavar="SECONDS", type=places.seconds, default=1200, help="to wait at most (default: 1200)"
    )
    places.add_ssh_config(result)
    result.add_argument("--no-wait", action="store_true", help="do not wait until the machines are up")
    result.add_argument(
        "-n",
        "--dry-run",
        action="store_true",
        help="check everything, and start nothing; on hosts, Ansible's check mode prints what would change",
    )
    result.add_argument("--json", action="store_true", help="print the status of the nodes as JSON")
    return result


def main(arguments: Sequence[str]) -> None:
    """Deploys what the arguments name."""
    started_in = places.enter_folder_of_caller()
    options = parser().parse_args(arguments)
    request = Request(
        deployment=places.deployment(options),
        disk=options.disk or _built_disk(started_in),
        keys="".join(_keys(path) for path in options.ssh_key),
    )
    state = places.state(options)
    if not any(node.host.is_local for node in request.deployment.nodes):
        hosts.deploy(state, request, options.ssh_config, dry_run=options.dry_run)
        return
    if options.dry_run:
        check(state, request)
        say(f"{options.deployment}: can be deployed, with {len(request.deployment.nodes)} machines")
        return
    nodes = deploy(state, request, say)
    if options.no_wait:
        return
    objects = as_json(state, nodes, wait_until_up(state, nodes, options.timeout, say))
    print(json.dumps(objects, indent=2) if options.json else as_text(objects))


def _built_disk(started_in: Path) -> str:
    path = os.environ.get(_DISK)
    if path is None:
        raise UserError("--disk: is missing; `bazel run //testnet/tools:icos_deploy` takes the image that it builds")
    return str(started_in / path)


def _keys(path: str) -> str:
    try:
        text = read_account_keys(Path(path))
    except OSError as error:
        raise UserError(f"--ssh-key: {path}: cannot be read: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"--ssh-key: {error}") from error
    return text if text.endswith("\n") else f"{text}\n"


if __name__ == "__main__":
    run(PROGRAM, main)
