"""Upgrades a node of a deployment on this machine, in the steps that an orchestrator takes.

The update image is offered by HTTP. The node downloads it, checks its SHA-256, and installs and commits it as the
account of the orchestrator. Then it reboots, and its orchestrator confirms the new system.
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

from testnet.local import ssh
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgraded:
    """What an upgrade did on a node; times are in seconds since `started`, which is a time of `time.monotonic`.

    Attributes:
        before: version and slot that ran.
        after: version and slot that run now.
        started: when it began.
        installed: how long the download and the installation took.
        confirmed: how long it took until the new system was confirmed.
    """

    before: str
    after: str
    started: float
    installed: float
    confirmed: float


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


def upgrade(state: State, node: LocalNode, offer: Offer, timeout: float, say: Say) -> Upgraded:
    """Upgrades a node.

    Args:
        state: of the deployment.
        node: to upgrade.
        offer: the update image.
        timeout: how long the new system may take until it is confirmed, in seconds.
        say: tells a person how far the work is.

    Raises:
        UserError: the upgrade failed; the message names the node.
    """
    started = time.monotonic()
    everyone = state.deployed_nodes()
    before = observe(state, node, everyone)
    if not before.is_up:
        raise UserError(f"{node.name}: is not up, so it is not upgraded: {before.lacks}")
    say(f"{node.name}: downloads and installs, over version {before.version}")
    script = _INSTALL.format(image=_IMAGE, url=shlex.quote(offer.url), digest=offer.digest)
    _call(state, node, script, _INSTALL_SECONDS, "upgrade-install")
    installed = time.monotonic() - started
    say(f"{node.name}: installed after {installed:.0f} s; reboots")
    # The machine may end the connection before the command has ended: what counts is what boots.
    ssh.run(state, node, [*_AS_ORCHESTRATOR, "-c", shlex.quote(_COMMIT)], _COMMIT_SECONDS)
    after = _wait_for_confirmation(state, before, everyone, timeout)
    confirmed = time.monotonic() - started
    say(f"{node.name}: version {after.version} confirmed after {confirmed:.0f} s")
    return Upgraded(
        before=f"{before.version} in {before.slot}",
        after=f"{after.version} in {after.slot}",
        started=started,
        installed=installed,
        confirmed=confirmed,
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
