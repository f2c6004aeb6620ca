"""The link of a deployment on this machine: a process that hands frames from machine to machine, as a switch does.

QEMU sends each frame of a network card as a datagram to the switch's socket, from a socket of the machine (`-netdev
dgram`, QEMU documentation, "Network emulation"). The sockets are in the deployment's folder, which no other user can
enter; so, unlike multicast on the loopback interface, nobody else can read or send frames, and no root is needed.
A frame whose source address is not that of its machine is dropped.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

SOCKET = "link.sock"
CARD = "link"
"""QEMU's name of a machine's card on the link."""

_LONGEST_FRAME = 1 << 16
_ADDRESS = 6
"""Length of a MAC address; a frame begins with those of its destination and its source (IEEE 802.3, section 3.1)."""

_GROUP_BIT = 1
_LOST = (errno.EAGAIN, errno.ECONNREFUSED, errno.ENOBUFS, errno.ENOENT)
"""The receiver's queue is full, or it does not run: a frame is lost, as on any network."""


class Switch:
    """A switch with a port for each machine."""

    def __init__(self, receiver: socket.socket, ports: Mapping[bytes, str]) -> None:
        """Uses a datagram socket that is bound already.

        Args:
            receiver: gets the frames of all machines.
            ports: sockets of the machines by their MAC addresses.
        """
        self._socket = receiver
        self._ports = dict(ports)
        self._addresses = {path: address for address, path in ports.items()}

    def run(self) -> None:
        """Hands frames on, forever."""
        while True:
            frame, source = self._socket.recvfrom(_LONGEST_FRAME)
            self.forward(frame, source)

    def forward(self, frame: bytes, source: str | None) -> None:
        """Hands one frame on: to the machine that it is for, or to all others.

        Args:
            frame: the Ethernet frame.
            source: socket that it came from.
        """
        destination, sender = frame[:_ADDRESS], frame[_ADDRESS : 2 * _ADDRESS]
        if source is None or self._addresses.get(source) != sender:
            return
        if destination[0] & _GROUP_BIT:
            for address, path in self._ports.items():
                if address != sender:
                    self._send(frame, path)
        elif (path := self._ports.get(destination, source)) != source:
            self._send(frame, path)

    def _send(self, frame: bytes, path: str) -> None:
        try:
            self._socket.sendto(frame, socket.MSG_DONTWAIT, path)
        except OSError as error:
            if error.errno not in _LOST:
                raise


def serve(ports: Mapping[bytes, str], ready: Callable[[], None]) -> None:
    """Runs the switch in the current folder, forever.

    Args:
        ports: sockets of the machines by their MAC addresses; relative paths.
        ready: is called when the switch takes frames.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(SOCKET)
    os.umask(0o077)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(SOCKET)
        ready()
        Switch(receiver, ports).run()


def card(mac: str, folder: str) -> list[str]:
    """Returns QEMU's arguments for a network card on the link; the working directory is the deployment's folder.

    Args:
        mac: MAC address of the card.
        folder: of the machine, in the deployment's folder.
    """
    local = f"local.type=unix,local.path={machine_socket(folder)}"
    remote = f"remote.type=unix,remote.path={SOCKET}"
    return ["-netdev", f"dgram,id={CARD},{local},{remote}", "-device", f"virtio-net-pci,netdev={CARD},mac={mac}"]


def machine_socket(folder: str) -> str:
    """Returns the path of a machine's socket, relative to the deployment's folder."""
    return str(Path(folder, SOCKET))
