"""A node for tests in a virtual machine: its bootstrap medium, its machine, and the update that its registry names.

The medium is as the tools of the reference write it. An HTTP server of the test takes the place of the NNS and of the
server of the update images; nothing but the registry's document tells the machine to upgrade.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from guestos_tools.bootstrap_media import medium
from sample_node import Nns
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tar.image_file import open_image
from tools.testing.machines import emulator
from tools.tree.node import Directory, File
from tools.vm.machine import Drive, Machine, Settings

_HOST = "10.0.2.2"
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
ipv4_gateway={_HOST}

"""


def configuration(nns: Nns) -> Directory:
    """Returns the members of ic-bootstrap.tar for a node that registers with an NNS."""
    port = nns.url.rpartition(":")[2]
    texts = {
        "network.conf": _NETWORK,
        "nns.conf": f"nns_url=http://{_HOST}:{port}\n",
        "nns_public_key.pem": "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "node_operator_private_key.pem": "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n",
    }
    return Directory(
        entries={name.encode(): File(content=Image.from_bytes(text.encode())) for name, text in texts.items()}
    )


def node(disk_image: Path, folder: Path, log: Path, nns: Nns, forwards: Sequence[tuple[int, int]] = ()) -> Machine:
    """Returns the machine of a node with a disk image and a bootstrap medium.

    Args:
        disk_image: a tar with the disk.
        folder: for the machine's files.
        log: for the console's output.
        nns: that the machine registers with.
        forwards: see `tools.vm.machine.Settings`.
    """
    disk, bootstrap = folder / "disk.img", folder / "medium.img"
    write_raw(open_image(disk_image), disk)
    write_raw(medium(configuration(nns)), bootstrap)
    settings = Settings(
        **emulator(),
        drives=[
            Drive(path=str(disk), keep=True),
            Drive(path=str(bootstrap), read_only=True, removable=True),
        ],
        cpus=2,
        forwards=forwards,
        watchdog=True,
    )
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
            "release_package_url": f"http://{_HOST}:{nns.url.rpartition(':')[2]}{_UPDATE}",
            "release_package_sha256_hex": digest,
        },
    }
    return _UPDATE
