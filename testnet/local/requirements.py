"""What this machine must have for a deployment; asked before anything is written or started."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from testnet.inventory.deployment import Deployment, Node
from testnet.local import ssh
from testnet.local.state import LocalNode
from tools.core.errors import UserError
from tools.core.text import human_size
from tools.gpt.reader import read_table
from tools.image.extents import Image
from tools.tar.image_file import open_image
from tools.vm.firmware import find_firmware
from tools.vm.qemu import find_qemu

_MEMINFO = Path("/proc/meminfo")
_KVM = Path("/dev/kvm")
_LEAST_MEMORY_MIB = 512
_MOST_CORES = 255
_GUEST_OVERHEAD_MIB = 150
"""What QEMU takes besides the memory of its machine, in MiB."""

TRANSLATED_MIB = 256
"""Limit for the code that QEMU keeps translated where it emulates the processor, in MiB; its own default is 1 GiB
(QEMU documentation, `-accel tcg,tb-size`)."""

WRITTEN_BYTES = 640 << 20
"""What a machine writes to its disk at its first boot, with a reserve, in bytes."""


def check_deployment(deployment: Deployment) -> None:
    """Checks that an inventory describes machines that can be run here.

    Raises:
        UserError: it does not; the message begins with the file.
    """
    for node in deployment.nodes:
        where = f"{deployment.origin}: {node.name}"
        if not node.host.is_local:
            raise UserError(
                f"{where}: runs on {node.host.name}, and other nodes on this machine (ansible_connection=local); make "
                "two deployments of them"
            )
        check_machine(node, where)
    hosts = {node.host.name for node in deployment.nodes}
    if len(hosts) > 1:
        raise UserError(f"{deployment.origin}: {', '.join(sorted(hosts))} are all this machine; name it once")


def check_machine(node: Node, where: str) -> None:
    """Checks that a node's machine can be had in QEMU.

    Args:
        node: the node.
        where: begins the message.

    Raises:
        UserError: it can't.
    """
    if node.use_hsm:
        raise UserError(f"{where}: use_hsm: machines on this host have no HSM")
    if node.host.cores > _MOST_CORES:
        raise UserError(f"{where}: ic_cores: a machine has {_MOST_CORES} processors at most")
    if node.host.memory_mib < _LEAST_MEMORY_MIB:
        raise UserError(f"{where}: ic_memory_gb: a machine needs {_LEAST_MEMORY_MIB} MiB at least")


def check_programs() -> None:
    """Checks that the programs are there that a deployment needs.

    Raises:
        UserError: one is missing.
    """
    ssh.find_ssh()
    find_qemu()
    find_firmware()
    if shutil.which("qemu-img") is None:
        raise UserError("qemu-img: not found; install it (Debian: qemu-utils)")


def overhead_mib(*, emulated: bool) -> int:
    """Returns what QEMU takes besides the memory of its machine, in MiB; more where it emulates the processor."""
    return _GUEST_OVERHEAD_MIB + (TRANSLATED_MIB if emulated else 0)


def check_memory(nodes: Sequence[LocalNode], meminfo: Path = _MEMINFO, kvm: Path = _KVM) -> None:
    """Checks that there is memory for machines that are to be started.

    Raises:
        UserError: there is too little.
    """
    overhead = overhead_mib(emulated=not os.access(kvm, os.R_OK | os.W_OK))
    needed = sum(node.memory_mib + overhead for node in nodes)
    match = re.search(r"^MemAvailable: +(\d+) kB$", meminfo.read_text("ascii"), re.MULTILINE)
    available = int(match[1]) >> 10 if match else needed
    if needed > available:
        raise UserError(
            f"memory: {len(nodes)} machines need {needed} MiB, and {available} MiB are available; set a smaller "
            "ic_memory_gb, or deploy fewer nodes"
        )


def open_disk(path: str) -> Image:
    """Opens the disk that all machines begin with.

    Args:
        path: of the image, raw or as the one member of a tar.

    Raises:
        UserError: it cannot be read, or has no partitions.
    """
    image = open_image(path)
    read_table(image, path)
    return image


def check_disk(folder: Path, image: Image | None, nodes: Sequence[LocalNode]) -> None:
    """Checks that there is space for the disk that all machines begin with, and for what they write.

    Args:
        folder: where it is to be; need not exist.
        image: the disk; None if it is there already.
        nodes: whose disks are to be created.

    Raises:
        UserError: there is too little space, or the image is larger than the disk of a node.
    """
    data = 0
    if image is not None:
        data = sum(extent.length for extent in image.extents)
        for node in nodes:
            if node.disk_gb << 30 < image.size:
                raise UserError(f"{node.name}: ic_disk_gb: the image needs {human_size(image.size)} at least")
    needed = data + len(nodes) * WRITTEN_BYTES
    while not folder.exists():
        folder = folder.parent
    status = os.statvfs(folder)
    available = status.f_bavail * status.f_frsize
    if needed > available:
        raise UserError(
            f"{folder}: {human_size(needed)} are needed for the disks, and {human_size(available)} are available; "
            "give another --state"
        )
