"""Upgrades a node of a deployment on this machine, in the steps that an orchestrator takes.

The update image is offered by HTTP. The node downloads it, checks its SHA-256, and installs and commits it as the
account of the orchestrator. Then it reboots, and its orchestrator confirms the new system.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from testnet.local import ssh
from testnet.local.observe import Observation, observe
from testnet.local.peers import is_cut_off, peers, unseen
from testnet.local.report import COMMITTED, CONFIRMED, CURRENT, DOWNLOADED, INSTALLED, LOST, STARTED, UPGRADED, Track
from testnet.local.state import HOST, LocalNode, State
from testnet.local.update_version import version_of
from testnet.local.waiting import wait_for
from tools.core.errors import UserError

_GATEWAY = "10.0.2.2"
"""The address by which machines reach 127.0.0.1 of this machine (QEMU documentation, "User mode network stack")."""

_IMAGE = "/var/lib/ic/data/images/image.bin"
_INSTALL = """\
set -eu
mkdir -p "$(dirname {image})"
trap 'rm -f {image}' EXIT
curl --fail --silent --show-error --connect-timeout 30 --speed-limit 1000 --speed-time 60 --output {image} {url}
echo "{digest}  {image}" | sha256sum --check --quiet -
/opt/ic/bin/manageboot.sh upgrade-install {image}
"""
_COMMIT = "/opt/ic/bin/manageboot.sh upgrade-commit"
_AS_ORCHESTRATOR = ("sudo", "-u", "ic-replica", "sh")
_INSTALL_SECONDS = 1800
_COMMIT_SECONDS = 300
_STALLED_SECONDS = 120
_ATTEMPTS = 3
"""How often an image is installed at most, if the machine ends meanwhile."""

_LINK_SECONDS = 60
_PIECE = 1 << 20
_PAUSE_SECONDS = 3.0


@dataclass(slots=True)
class Offer:
    """An update image that machines can download.

    Attributes:
        url: for a machine.
        digest: its SHA-256.
        size: in bytes.
        version: of its manifest.
        sent: how many bytes all machines got.
        complete_at: when the last piece was sent to a machine, as `time.monotonic` has it; None if none did.
    """

    url: str
    digest: str
    size: int
    version: str
    sent: int = 0
    complete_at: float | None = None


@contextlib.contextmanager
def offered(image: Path) -> Iterator[Offer]:
    """Offers a file by HTTP at a port of 127.0.0.1, as it is now: a build that replaces it changes nothing.

    Raises:
        UserError: the file cannot be read, or is no update image.
    """
    version = version_of(image)
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        offer = Offer("", digest, os.fstat(file.fileno()).st_size, version)
        server = http.server.ThreadingHTTPServer((HOST, 0), _handler(offer, file.fileno(), f"/{digest}"))
        offer.url = f"http://{_GATEWAY}:{server.server_port}/{digest}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield offer
        finally:
            server.shutdown()
            server.server_close()


def _handler(offer: Offer, file: int, path: str) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        timeout = _STALLED_SECONDS

        def do_GET(self) -> None:
            if self.path != path:
                self.send_error(404)
                return
            with contextlib.suppress(OSError):  # the machine has ended, or its link is cut
                self.send_response(200)
                self.send_header("Content-Length", str(offer.size))
                self.end_headers()
                for offset in range(0, offer.size, _PIECE):
                    piece = os.pread(file, _PIECE, offset)
                    offer.sent += len(piece)
                    if offset + _PIECE >= offer.size:
                        offer.complete_at = time.monotonic()  # before who gets it can go on
                    self.wfile.write(piece)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def upgrade(state: State, node: LocalNode, offer: Offer, timeout: float, track: Track) -> str:
    """Upgrades a node, unless it has the version.

    Args:
        state: of the deployment.
        node: to upgrade.
        offer: the update image.
        timeout: how long the node may take until it is up, and until its new system is confirmed, in seconds.
        track: gets the steps, the versions before and after, and messages.

    Returns:
        UPGRADED or CURRENT.

    Raises:
        UserError: the upgrade failed; the message names the node.
    """
    track.mark(STARTED)
    everyone = state.deployed_nodes()
    before = _wait_until_up(state, node, timeout, track)
    track.record.before = before.system
    if before.version == offer.version:
        track.record.after = before.system
        track.say(f"{node.name}: has version {offer.version} already")
        return CURRENT
    seen = _seen_peers(state, before, everyone)
    before = _install_despite_losses(state, before, offer, timeout, track)
    track.say(f"{node.name}: has installed version {offer.version}; reboots")
    # The machine may end the connection before the command has ended: what counts is what boots.
    ssh.run(state, node, [*_AS_ORCHESTRATOR, "-c", shlex.quote(_COMMIT)], _COMMIT_SECONDS)
    track.mark(COMMITTED)
    after = _wait_for_confirmation(state, before, seen, timeout, track)
    track.record.after = after.system
    if after.version != offer.version:
        raise UserError(f"{node.name}: runs version {after.version}, and the image has {offer.version}")
    track.mark(CONFIRMED)
    track.say(f"{node.name}: version {after.version} is confirmed")
    return UPGRADED


def _wait_until_up(state: State, node: LocalNode, timeout: float, track: Track) -> Observation:
    """Returns what a node is once it is up; its machine may boot, or have ended and be started again meanwhile.

    Raises:
        UserError: it is not up in time.
    """
    everyone = state.deployed_nodes()
    found: Observation | None = None

    def is_up() -> bool:
        nonlocal found
        is_first, found = found is None, observe(state, node, everyone)
        if is_first and not found.is_up:
            track.mark(LOST)
            track.say(f"{node.name}: {_lost(found)}, and this command waits for it")
        return found.is_up

    is_there = wait_for(is_up, timeout, _PAUSE_SECONDS)
    assert found is not None
    if not is_there:
        # The system takes the address off a card whose link is cut.
        cut_off = found.answer is not None and is_cut_off(state, found, peers(node, everyone))
        raise UserError(
            f"{node.name}: is not up within {timeout:.0f} s, so it is not upgraded: {found.lacks}"
            + (", and it sees no replica of the other nodes" if cut_off else "")
        )
    if track.record.steps[-1].what == LOST:
        track.mark(STARTED)
    return found


def _lost(found: Observation) -> str:
    return f"is not up: {found.lacks}" if found.running else "the machine has ended; icos_deploy starts it"


def _seen_peers(state: State, before: Observation, everyone: Sequence[LocalNode]) -> list[LocalNode]:
    """Returns the nodes whose replicas a node sees: its new system has to see them, too.

    Raises:
        UserError: it sees none of those whose machines run.
    """
    node, others, found = before.node, peers(before.node, everyone), before

    def is_linked() -> bool:
        nonlocal found
        if is_cut_off(state, found, others):
            found = observe(state, node, everyone)
        return not is_cut_off(state, found, others)

    if not wait_for(is_linked, _LINK_SECONDS, _PAUSE_SECONDS):
        names = ", ".join(unseen(state, found, others))
        raise UserError(f"{node.name}: is not upgraded, since it sees no replica of the other nodes: {names}")
    return [each for each in others if found.sees(each)]


def _install_despite_losses(
    state: State, before: Observation, offer: Offer, timeout: float, track: Track
) -> Observation:
    """Installs the image, again if the machine ends or boots meanwhile; returns what the node is then.

    Raises:
        UserError: it refuses the image, did not come back in time, or was lost too often.
    """
    node = before.node
    for attempt in range(1, _ATTEMPTS + 1):
        track.say(f"{node.name}: downloads and installs, over version {before.version}")
        try:
            _install(state, node, offer, track)
            break
        except UserError:
            found = _wait_until_up(state, node, timeout, track)
            if found.boot_id == before.boot_id or attempt == _ATTEMPTS:
                raise
            before = found
    return before


def _install(state: State, node: LocalNode, offer: Offer, track: Track) -> None:
    offer.complete_at = None
    script = _INSTALL.format(image=_IMAGE, url=shlex.quote(offer.url), digest=offer.digest)
    try:
        _call(state, node, script, _INSTALL_SECONDS, "upgrade-install")
    finally:
        if offer.complete_at is not None:
            track.mark(DOWNLOADED, offer.complete_at)
    track.mark(INSTALLED)


def _call(state: State, node: LocalNode, script: str, timeout: float, what: str) -> None:
    result = ssh.run(state, node, [*_AS_ORCHESTRATOR, "-s"], timeout, script=script)
    if result.returncode != 0:
        said = (result.stderr or result.stdout).strip().splitlines()
        raise UserError(f"{node.name}: {what}: exit status {result.returncode}: {said[-1] if said else 'no message'}")


def _wait_for_confirmation(
    state: State, before: Observation, seen: Sequence[LocalNode], timeout: float, track: Track
) -> Observation:
    """Waits until a node is up after another boot and sees the nodes that it saw, or fell back.

    If its machine has ended, it waits until that runs again, too.
    """
    node = before.node
    everyone = state.deployed_nodes()
    found = before

    def is_decided() -> bool:
        nonlocal found
        was_running, found = found.running, observe(state, node, everyone)
        if was_running and not found.running:
            track.mark(LOST)
            track.say(f"{node.name}: {_lost(found)}, and this command waits for it")
        if found.boot_id in (None, before.boot_id):
            return False
        return found.slot == before.slot or (found.is_up and not unseen(state, found, seen))

    if not wait_for(is_decided, timeout, _PAUSE_SECONDS):
        lacks = found.lacks
        if not lacks and found.boot_id == before.boot_id:
            lacks = "it has not rebooted"
        lacks = lacks or f"it does not see the replica of {', '.join(unseen(state, found, seen))}"
        raise UserError(f"{node.name}: not upgraded within {timeout:.0f} s: {lacks}")
    if found.slot == before.slot:
        track.record.after = found.system
        raise UserError(f"{node.name}: fell back to version {found.version}; its journal has the reason")
    return found
