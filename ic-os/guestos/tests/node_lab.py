"""A node for tests in a virtual machine: its disk, its bootstrap medium, and the update that its registry names.

An HTTP server of the test takes the place of the NNS and of the server of the update images; nothing but the registry's
document tells the machine to upgrade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from sample_node import Nns
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.tree.node import Directory, File
from tools.vm.firmware import Firmware
from tools.vm.machine import Drive, Machine, Settings

HOST = "10.0.2.2"
"""The address of the test, behind QEMU's own network."""
_UPDATE = "/guest-os/update-img/update-img.tar.zst"

ADDRESS = "fec0::15"
HOSTNAME = "guest-525400123456"

_NETWORK = f"""\
ipv6_address={ADDRESS}/64
ipv6_gateway=fec0::2
name_servers=
ipv6_prefixes=
hostname={HOSTNAME}
ipv4_address=10.0.2.15/24
ipv4_gateway={HOST}

"""


def configuration(nns: Nns) -> Directory:
    """Returns what the tools of the reference write to ic-bootstrap.tar, for a node that registers with an NNS."""
    texts = {
        "network.conf": _NETWORK,
        "nns.conf": f"nns_url={address(nns)}\n",
        "nns_public_key.pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "node_operator_private_key.pem": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    }
    return Directory(
        entries={name.encode(): File(content=Image.from_bytes(text.encode())) for name, text in texts.items()}
    )


def address(nns: Nns) -> str:
    """Returns the URL at which a machine reaches an NNS."""
    return f"http://{HOST}:{nns.url.rpartition(':')[2]}"


def disk(image: Path, folder: Path) -> Drive:
    """Writes the disk of a tar to a folder; returns a drive that keeps what a machine writes."""
    path = folder / "disk.img"
    write_raw(open_image(image), path)
    return Drive(path=str(path), keep=True)


def node(
    folder: Path,
    log: Path,
    drives: Sequence[Drive],
    forwards: Sequence[tuple[int, int]] = (),
    *,
    arguments: Sequence[str] = (),
    firmware: Firmware | None = None,
) -> Machine:
    """Returns the machine of a node.

    Args:
        folder: for the machine's files.
        log: for the console's output.
        drives: its disks.
        forwards: see `tools.vm.machine.Settings`.
        arguments: further arguments for QEMU.
        firmware: UEFI firmware in place of the one without Secure Boot.
    """
    found = emulator()
    if firmware:
        found["firmware"] = firmware
    settings = Settings(**found, drives=drives, forwards=forwards, watchdog=True, arguments=arguments)
    return Machine(settings, folder, log)


def offer_update(nns: Nns, image: Path, version: str) -> str:
    """Names an update image in the registry, and serves it; returns its path in the URL."""
    with image.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    nns.files[_UPDATE] = image
    nns.registry |= {
        "registry_version": 2,
        "replica_version": {
            "version": version,
            "release_package_url": f"{address(nns)}{_UPDATE}",
            "release_package_sha256_hex": digest,
        },
    }
    return _UPDATE
