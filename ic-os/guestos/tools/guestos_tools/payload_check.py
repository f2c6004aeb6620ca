"""Checks the reference payload on a running machine: that it has what it needs, and runs as accounts of its own."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from tools.image.extents import Image
from tools.tree.node import Directory, File
from tools.vm.checks import Checks
from tools.vm.shell import Shell

DASHBOARD_PORT = 7070
"""Of the orchestrator, at which the replica's status is shown."""

_ACCOUNTS = {
    "orchestrator": "ic-replica",
    "replica": "ic-replica",
    "sandbox_launcher": "ic-replica",
    "canister_sandbox": "ic-replica",
    "ic-crypto-csp": "ic-csp-vault",
    "ic-btc-adapter": "ic-replica",
    "ic-https-outcalls-adapter": "ic-http-adapter",
}
"""The programs that run, and their accounts."""

_KEYS = "/var/lib/ic/crypto"
_ASK_CRYPTO = "curl --silent --unix-socket /run/ic-node/crypto-csp/socket http://localhost/node-id"
_PORT_SECONDS = 70
_RULES_SECONDS = 120
_PAUSE_SECONDS = 0.5
_CONFIG = "/run/ic-node/config/ic.json5"


def registry_folder(**more: object) -> Directory:
    """Returns a folder `ic_registry_local_store` for a bootstrap configuration: the node is in a subnet.

    Args:
        **more: further keys of the document (ic-os/guestos/payload/README.adoc).
    """
    text = json.dumps({"registry_version": 1, "subnet": "boot-test"} | more)
    return Directory(entries={b"stand-in-registry.json": File(content=Image.from_bytes(text.encode()))})


def check_payload(shell: Shell, version: str, timeout: float, checks: Checks) -> None:
    """Checks the replica's status, accounts of processes, the folder of the keys, and the firewall.

    Args:
        shell: of root.
        version: that the replica must have.
        timeout: time limit for the replica, in seconds.
        checks: collects the results.
    """
    address = shell.check(rf"""sed -n 's/^ *listen_addr: "\(.*\)",$/\1/p' {_CONFIG}""")
    command = f"curl --silent --show-error --max-time {_PORT_SECONDS} http://{address}/status"
    status = until_healthy(lambda: json_or_none(shell.run(command, timeout).output), timeout)
    checks.equal(
        f"the replica at {address} is healthy", (status.get("status"), status.get("problems")), ("healthy", [])
    )
    checks.equal("the version that the replica has", status.get("version"), version)
    checks.equal("each service has its own account", accounts(shell), _ACCOUNTS)
    check_keys(shell, checks)
    # The orchestrator writes the rules after it has started the replica, and another unit loads them then.
    shell.run(f"timeout {_RULES_SECONDS} sh -c 'until nft list tables | grep --quiet ip6; do sleep 1; done'", timeout)
    tables = shell.check("nft list tables").splitlines()
    checks.equal("the firewall has the orchestrator's tables alone", tables, ["table ip filter", "table ip6 filter"])


def accounts(shell: Shell) -> dict[str, str]:
    """Returns the accounts of the payload's programs that run."""
    processes = [
        re.match(r"(\S+) .*/opt/ic/bin/(\S+)", line) for line in shell.check("ps -eo user:20,args").splitlines()
    ]
    return {match[2]: match[1] for match in processes if match and match[2] in _ACCOUNTS}


def check_keys(shell: Shell, checks: Checks) -> None:
    """Checks that only the crypto service can read the node's keys."""
    owner = "ic-csp-vault:ic-csp-vault"
    modes = shell.check(f"stat --format='%U:%G %a' {_KEYS} {_KEYS}/stand_in_node_key").splitlines()
    checks.equal("the keys belong to the crypto service", modes, [f"{owner} 2750", f"{owner} 600"])
    for account in ("ic-replica", "ic-http-adapter", "readonly", "backup"):
        result = shell.run(f"runuser -u {account} -- ls {_KEYS}")
        checks.true(f"{account} cannot list the keys", "Permission denied" in result.output, result.output)
    for account, status in (("ic-replica", 0), ("readonly", 7)):
        result = shell.run(f"runuser -u {account} -- {_ASK_CRYPTO}")
        checks.equal(f"curl's exit status for the crypto service, as {account}", result.status, status)


def until_healthy(ask: Callable[[], dict[str, Any] | None], timeout: float) -> dict[str, Any]:
    """Returns a replica's status, as soon as it is healthy or at the end of a time limit; empty if there is none."""
    status: dict[str, Any] = {}
    for answer in _answers(ask, timeout):
        status = answer
        if status.get("status") == "healthy":
            break
    return status


def _answers(ask: Callable[[], dict[str, Any] | None], timeout: float) -> Iterator[dict[str, Any]]:
    """Yields the answers of a service that may not be there yet, until a time limit."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        answer = ask()
        if answer is not None:
            yield answer
        time.sleep(_PAUSE_SECONDS)


def json_or_none(text: str) -> dict[str, Any] | None:
    """Returns a JSON object; None if the text is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def status_on_dashboard(port: int) -> dict[str, Any] | None:
    """Returns the replica's status that the orchestrator's dashboard shows; None if it shows none.

    Args:
        port: of 127.0.0.1, that is forwarded to the dashboard.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PORT_SECONDS)
    try:
        connection.request("GET", "/")
        text = connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException, UnicodeDecodeError):
        return None
    finally:
        connection.close()
    line = re.search(r"^replica: (\{.*\})$", text, re.MULTILINE)
    return json_or_none(line[1]) if line else None
