"""Where servers listen: a Unix domain socket that only its user reaches, or a port of the loopback interface."""

from __future__ import annotations

import contextlib
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from dev.remote.ports import HOST, choose_port, listens
from tools.core.errors import UserError
from tools.core.folders import private_folder

_LONGEST_PATH = 107  # unix(7): sun_path has 108 bytes, with the NUL


@dataclass(frozen=True)
class Address:
    """An address.

    Attributes:
        path: of the socket; None for a port.
        port: of the loopback interface, which all users of the machine reach.
    """

    path: Path | None = None
    port: int = 0

    @property
    def for_grpc(self) -> str:
        """The address as gRPC has it."""
        return f"{HOST}:{self.port}" if self.path is None else f"unix:{self.path}"

    @property
    def for_bazel(self) -> str:
        """The address as Bazel has it in --remote_cache and --remote_executor, for gRPC."""
        return f"grpc://{HOST}:{self.port}" if self.path is None else f"unix:{self.path}"

    @property
    def for_nginx(self) -> str:
        """The address as nginx has it in the directive `listen`."""
        return f"{HOST}:{self.port}" if self.path is None else f"unix:{self.path}"

    @property
    def for_workers(self) -> str:
        """The address as BuildBox has it in --remote."""
        return f"http://{HOST}:{self.port}" if self.path is None else f"unix:{self.path}"

    def listens(self) -> bool:
        """Returns whether a server accepts connections here."""
        if self.path is None:
            return listens(self.port)
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.path))
            except OSError:
                return False
        return True

    def __str__(self) -> str:
        return f"port {self.port}, for all users of this machine," if self.path is None else str(self.path)


def at_port(port: int) -> Address:
    """Returns a port of the loopback interface.

    Args:
        port: the requested port; 0 for any free one.

    Raises:
        UserError: the port is in use.
    """
    return Address(port=choose_port(port))


def at_socket(path: Path) -> Address:
    """Returns a socket that only the user of this process can connect to; removes one that an earlier server left.

    Args:
        path: of the socket; its directory is created if necessary.

    Raises:
        UserError: others can reach files of the directory, or the path is too long.
    """
    folder = private_folder(path.parent)
    if folder.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(
            f"{folder}: other users may enter it, and so use the server; run chmod 700, or choose another one"
        )
    place = folder / path.name
    if len(str(place).encode()) > _LONGEST_PATH:
        raise UserError(f"{place}: is longer than {_LONGEST_PATH} bytes, as sockets require; choose a shorter path")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(place.lstat().st_mode):
            raise UserError(f"{place}: is no socket; choose another path")
        place.unlink()
    return Address(path=place)
