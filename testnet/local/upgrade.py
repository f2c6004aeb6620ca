"""Upgrades nodes of a deployment on this machine, one after the other, in the steps that an orchestrator takes.

The update image is offered by HTTP while the command runs. Each node downloads it, checks its SHA-256, and installs and
commits it as the account of the orchestrator. Then it reboots, and its orchestrator confirms the new system.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import shlex
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.local import machine, ssh
from testnet.local.deploy import Say
from testnet.local.observe import Observation, observe
from testnet.local.state import HOST, LocalNode, State
from testnet.local.waiting import wait_for
from tools.core.errors import UserError

_GATEWAY = "10.0.2.2"
"""The address by which machines reach 127.0.0.1 of this machine (QEMU documentation, "User mode network stack")."""

_IMAGE = "/var/lib/ic/data/images/image.bin"
_INSTALL = """\
set -eu
mkdir -p "$(dirname {image})"
curl --fail --silent --show-error --output {image} {url}
echo "{digest}  {image}" | sha256sum --check --quiet -
/opt/ic/bin/manageboot.sh upgrade-install {image}
rm {image}
"""
_COMMIT = "/opt/ic/bin/manageboot.sh upgrade-commit"
_AS_ORCHESTRATOR = ("sudo", "-u", "ic-replica", "sh")
_INSTALL_SECONDS = 1800
_COMMIT_SECONDS = 300
_PAUSE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Upgraded:
    """What an upgrade did on a node.

    Attributes:
        name: of the node.
        before: version and slot that ran.
        after: version and slot that run now.
        install_seconds: time of the download and installation.
        boot_seconds: time from the commit until the new system was confirmed.
    """

    name: str
    before: str
    after: str
    install_seconds: float
    boot_seconds: float


@dataclass(frozen=True, slots=True)
class Offer:
    """An update image that machines can download.

    Attributes:
        url: for a machine.
        digest: its SHA-256.
    """

    url: str
    digest: str


@contextlib.contextmanager
def offered(image: Path) -> Iterator[Offer]:
    """Offers a file by HTTP at a port of 127.0.0.1.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        with image.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{image}: cannot be read: {error.strerror}") from error
    server = http.server.ThreadingHTTPServer((HOST, 0), _handler(image, f"/{digest}"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Offer(f"http://{_GATEWAY}:{server.server_port}/{digest}", digest)
    finally:
        server.shutdown()
        server.server_close()


def _handler(image: Path, path: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != path:
                self.send_error(404)
                return
            with image.open("rb") as file:
                self.send_response(200)
                self.send_header("Content-Length", str(image.stat().st_size))
                self.end_headers()
                shutil.copyfileobj(file, self.wfile, 1 << 20)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def upgrade(state: State, nodes: Sequence[LocalNode], image: Path, timeout: float, say: Say) -> list[Upgraded]:
    """Upgrades nodes, one after the other; stops at the first that fails.

    Args:
        state: of the deployment.
        nodes: to upgrade.
        image: the update image.
        timeout: how long the new system of a node may take until it is confirmed, in seconds.
        say: tells a person how far the work is.

    Raises:
        UserError: an upgrade failed; the message names the node.
    """
    if stopped := [node.name for node in nodes if not machine.is_running(state, node)]:
        raise UserError(f"{', '.join(stopped)}: does not run; start it with icos_deploy")
    with state.locked(), offered(image) as offer:
        return [_upgrade(state, node, offer, timeout, say) for node in nodes]


def _upgrade(state: State, node: LocalNode, offer: Offer, timeout: float, say: Say) -> Upgraded:
    everyone = state.deployed_nodes()
    before = observe(state, node, everyone)
    if not before.is_up:
        raise UserError(f"{node.name}: is not up, so it is not upgraded: {before.lacks}")
    say(f"{node.name}: downloads and installs, over version {before.version}")
    started = time.monotonic()
    script = _INSTALL.format(image=_IMAGE, url=shlex.quote(offer.url), digest=offer.digest)
    _call(state, node, script, _INSTALL_SECONDS, "upgrade-install")
    installed = time.monotonic()
    say(f"{node.name}: installed after {installed - started:.0f} s; reboots")
    # The machine may end the connection before the command has ended: what counts is what boots.
    ssh.run(state, node, [*_AS_ORCHESTRATOR, "-c", shlex.quote(_COMMIT)], _COMMIT_SECONDS)
    after = _wait_for_confirmation(state, before, everyone, timeout)
    say(f"{node.name}: version {after.version} confirmed after {time.monotonic() - installed:.0f} s")
    return Upgraded(
        name=node.name,
        before=f"{before.version} in {before.slot}",
        after=f"{after.version} in {after.slot}",
        install_seconds=round(installed - started, 1),
        boot_seconds=round(time.monotonic() - installed, 1),
    )


def _call(state: State, node: LocalNode, script: str, timeout: float, what: str) -> None:
    result = ssh.run(state, node, [*_AS_ORCHESTRATOR, "-s"], timeout, script=script)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise UserError(f"{node.name}: {what}: exit status {result.returncode}: {said[-1] if said else 'no message'}")


def _wait_for_confirmation(
    state: State, before: Observation, everyone: Sequence[LocalNode], timeout: float
) -> Observation:
    node = before.node
    found = before

    def is_decided() -> bool:
        nonlocal found
        found = observe(state, node, everyone)
        if not found.running:
            raise UserError(f"{node.name}: the machine ended during its reboot; start it with icos_deploy")
        return found.boot_id not in (None, before.boot_id) and (found.is_up or found.slot == before.slot)

    if not wait_for(is_decided, timeout, _PAUSE_SECONDS):
        raise UserError(f"{node.name}: not upgraded within {timeout:.0f} s: {found.lacks or 'it has not rebooted'}")
    if found.slot == before.slot:
        raise UserError(f"{node.name}: fell back to version {found.version}; its journal has the reason")
    return found
