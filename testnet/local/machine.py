"""A node's machine in QEMU, which goes on after the program that started it.

disk.qcow2      what the machine wrote; the rest is in the deployment's disk.img
medium.img      its bootstrap medium
variables.fd    the firmware's variables
console.log     all output of its serial console
qemu.pid, qemu.log
console.sock, qmp.sock, link.sock
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from testnet.local import link, process
from testnet.local.requirements import TRANSLATED_MIB
from testnet.local.state import HOST, PORTS, LocalNode, State
from testnet.local.waiting import wait_for
from tools.core.errors import UserError
from tools.vm.firmware import Firmware, find_firmware
from tools.vm.machine import Drive, Settings, command_line, copy_variables, create_overlay
from tools.vm.qemu import Qemu, accelerator, find_qemu
from tools.vm.qmp import Qmp, QmpError

DISK = "disk.qcow2"
MEDIUM = "medium.img"
CONSOLE_LOG = "console.log"
OUTSIDE = "outside"
"""QEMU's name of a machine's card that leads outwards."""

_PID = "qemu.pid"
_QMP = "qmp.sock"
_CONSOLE = "console.sock"
_CONSOLE_LOCK = "console.lock"
_LOG = "qemu.log"
_GRACE_SECONDS = 20
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Programs:
    """QEMU, its firmware, and the accelerator to use."""

    qemu: Qemu
    firmware: Firmware
    accel: str


def find_programs() -> Programs:
    """Returns what machines run with.

    Raises:
        UserError: QEMU or its firmware is missing.
    """
    qemu, firmware = find_qemu(), find_firmware()
    return Programs(qemu, firmware, accelerator(qemu, firmware))


def settings(node: LocalNode, programs: Programs) -> Settings:
    """Returns the configuration of a node's machine; paths are relative to the deployment's folder."""
    folder = Path(node.name)
    forwards = "".join(f",hostfwd=tcp:{HOST}:{port}-:{PORTS[name]}" for name, port in node.ports.items())
    arguments = [
        *link.card(node.mac, node.name),
        # The second card leads outwards. It has no IPv6, so that the node's address is that on the link.
        *("-netdev", f"user,id={OUTSIDE},ipv6=off{forwards}", "-device", f"virtio-net-pci,netdev={OUTSIDE}"),
        *("-name", node.name, "-display", "none"),
        *("-chardev", f"socket,id=console,path={folder / _CONSOLE},server=on,wait=off,logfile={folder / CONSOLE_LOG}"),
        *("-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,path={folder / _QMP},server=on,wait=off", "-qmp", "chardev:monitor"),
    ]
    return Settings(
        qemu=programs.qemu,
        firmware=programs.firmware,
        accel=f"{programs.accel},tb-size={TRANSLATED_MIB}" if programs.accel.startswith("tcg") else programs.accel,
        drives=[
            Drive(path=str(folder / DISK), format="qcow2", keep=True),
            Drive(path=str(folder / MEDIUM), read_only=True, removable=True),
        ],
        memory_mib=node.memory_mib,
        cpus=node.cores,
        network=False,
        watchdog=True,
        detached=True,
        arguments=arguments,
    )


def create_disk(state: State, node: LocalNode) -> None:
    """Creates the disk of a node: an overlay over the deployment's disk, as large as the node's disk is to be."""
    path = state.node_folder(node) / DISK
    create_overlay("qemu-img", str(path), str(state.disk))
    size = node.disk_gb << 30
    if size > state.disk.stat().st_size:
        result = subprocess.run(
            ["qemu-img", "resize", "-q", str(path), str(size)], capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise UserError(f"{path}: cannot be made {node.disk_gb} GiB large: {result.stderr.strip()}")


def is_running(state: State, node: LocalNode) -> bool:
    """Returns whether a node's machine runs."""
    return pid(state, node) is not None


def pid(state: State, node: LocalNode) -> int | None:
    """Returns the number of a machine's process; None if it does not run."""
    return process.find(state.node_folder(node) / _PID)


def start(state: State, node: LocalNode, programs: Programs) -> None:
    """Starts a node's machine, unless it runs.

    Raises:
        UserError: QEMU does not start; the message has what it says.
    """
    if is_running(state, node):
        return
    folder = state.node_folder(node)
    variables = copy_variables(programs.firmware, folder)
    relative = None if variables is None else str(Path(node.name, Path(variables).name))
    command = command_line(settings(node, programs), relative)
    (folder / _LOG).unlink(missing_ok=True)

    def execute(_ready: Callable[[], None]) -> None:
        os.umask(0o077)
        os.execv(command[0], command)

    process.start(folder / _PID, folder / _LOG, state.folder, execute)
    try:
        with monitor(state, node, _START_SECONDS):
            pass
    except UserError as error:
        said = (folder / _LOG).read_text(errors="replace").strip()
        process.end(folder / _PID, _GRACE_SECONDS)
        raise UserError(f"{node.name}: QEMU does not start: {said or error}") from error


@contextlib.contextmanager
def monitor(state: State, node: LocalNode, timeout: float) -> Iterator[Qmp]:
    """Gives a connection to the monitor of a node's machine.

    Args:
        state: of the deployment.
        node: the node.
        timeout: how long to wait for the socket of a machine that starts, in seconds.

    Raises:
        UserError: the machine does not run, or does not respond.
    """
    with _connected(state, node, _QMP, timeout) as connection:
        qmp = Qmp(connection)
        try:
            yield qmp
        finally:
            qmp.close()


@contextlib.contextmanager
def console(state: State, node: LocalNode) -> Iterator[socket.socket]:
    """Gives a connection to the serial console of a node's machine.

    Raises:
        UserError: the machine does not run, or somebody else is connected, who alone would get its output.
    """
    with (state.node_folder(node) / _CONSOLE_LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{node.name}: the console is in use; end the other one first") from error
        with _connected(state, node, _CONSOLE, 0) as connection:
            yield connection


@contextlib.contextmanager
def _connected(state: State, node: LocalNode, name: str, timeout: float) -> Iterator[socket.socket]:
    # By its descriptor, since the path of a socket has at most 107 bytes (unix(7)).
    folder = os.open(state.node_folder(node), os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            wait_for(
                lambda: connection.connect_ex(f"/proc/self/fd/{folder}/{name}") == 0 or not is_running(state, node),
                timeout,
            )
            try:
                connection.getpeername()
            except OSError as error:
                running = "does not respond" if is_running(state, node) else "does not run"
                raise UserError(f"{node.name}: the machine {running}") from error
            yield connection
    finally:
        os.close(folder)


def power_down(state: State, node: LocalNode, timeout: float) -> None:
    """Presses the machine's power button and waits for its end; after `timeout` seconds the power is cut.

    With a `timeout` of 0 the power is cut at once.
    """
    folder = state.node_folder(node)
    if timeout > 0 and is_running(state, node):
        with contextlib.suppress(QmpError):
            with monitor(state, node, 0) as qmp:
                qmp.execute("system_powerdown")
            process.wait_end(folder / _PID, timeout)
    process.end(folder / _PID, _GRACE_SECONDS)
    for name in (_QMP, _CONSOLE, link.SOCKET):
        (folder / name).unlink(missing_ok=True)


def plug(state: State, node: LocalNode, card: str, *, is_in: bool) -> None:
    """Plugs the cable of a machine's network card in or out, until the machine ends.

    Args:
        state: of the deployment.
        node: the node.
        card: link.CARD or OUTSIDE.
        is_in: whether it is to be in.

    Raises:
        UserError: the machine does not run, or does not respond.
    """
    with monitor(state, node, 0) as qmp:
        qmp.execute("set_link", name=card, up=is_in)


def memory_kib(number: int) -> int:
    """Returns how much memory of its own a process uses, in KiB (proc_pid_smaps_rollup)."""
    try:
        text = Path(f"/proc/{number}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB$", text, re.MULTILINE))


def written_bytes(state: State, node: LocalNode) -> int:
    """Returns how much space the disk of a node takes, in bytes."""
    try:
        return (state.node_folder(node) / DISK).stat().st_blocks * 512
    except FileNotFoundError:
        return 0
