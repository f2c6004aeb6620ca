"""Starts a server of a remote cache or of remote execution, and prints Bazel's flags for it.

It listens at a Unix domain socket that only the user who starts it can connect to. With --port, it listens at a port of
the loopback interface: then all users of this machine can read and write blobs, and so choose what others run; with
--server=execution they can execute any program as the user who started it.

It runs until it is interrupted; the stored blobs and the logs are kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dev.remote.address import Address, at_port, at_socket
from dev.remote.buildgrid import start_execution, start_grpc_cache
from dev.remote.children import Children
from dev.remote.http_cache import start_http_cache
from dev.remote.postgresql import start_postgresql, temporary_folder, unprivileged_user
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.folders import private_folder
from tools.core.json_spec import FileName
from tools.core.text import escaped

_BGD = str(Path(__file__).with_name("bgd"))
_SAFE = re.compile(r"[\w./+@~-]+", re.ASCII)
_CONFIGS = {"http-cache": "remote-cache", "grpc-cache": "remote-cache", "execution": "remote-exec"}


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    server: Literal["http-cache", "grpc-cache", "execution"] = argument(
        "server to start: nginx as a cache, BuildGrid as a cache, or BuildGrid with workers"
    )
    folder: FileName = argument("directory for blobs and logs; created if necessary")
    socket: FileName | None = argument("socket to listen at; by default run/socket in the folder", default=None)
    port: int | None = argument(
        "port to listen at, for all users of this machine, instead of a socket; 0 for any free one", default=None
    )
    workers: int = argument("number of actions to run in parallel", default=len(os.sched_getaffinity(0)))


def main(arguments: Arguments) -> None:
    """Runs the server until it is interrupted."""
    if arguments.workers < 1:
        raise UserError(f"--workers={arguments.workers}: must be 1 or more")
    folder = _folder(arguments.folder)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone_in(folder))
        address = _address(arguments, folder)
        # PostgreSQL's data is removed when it has ended.
        user = unprivileged_user() if arguments.server == "execution" else None
        scratch = stack.enter_context(temporary_folder(user)) if arguments.server == "execution" else folder
        children = stack.enter_context(Children(folder / "logs"))
        match arguments.server:
            case "http-cache":
                flags = start_http_cache(children, folder, address)
            case "grpc-cache":
                flags = [start_grpc_cache(children, _BGD, folder, address)]
            case "execution":
                database = start_postgresql(children, scratch, user)
                flags = start_execution(children, _BGD, folder, address, database=database, workers=arguments.workers)
        _say(f"{arguments.server} listens at {address} stores in {folder} and logs to {children.logs}")
        print(f"--config={_CONFIGS[arguments.server]}", *flags, flush=True)
        children.watch(_say)


def _address(arguments: Arguments, folder: Path) -> Address:
    if arguments.port is not None:
        if arguments.socket is not None:
            raise UserError("--port, --socket: exclude each other; leave one out")
        return at_port(arguments.port)
    path = folder / "run/socket" if arguments.socket is None else Path(arguments.socket)
    if not _SAFE.fullmatch(str(path.resolve())):
        raise UserError(f"--socket={path}: has characters that are not possible in the servers' configurations")
    try:
        return at_socket(path)
    except UserError as error:
        raise UserError(f"--socket: {error}") from error


def _folder(path: str) -> Path:
    """Returns the absolute path of a directory that other users cannot write; creates it if necessary."""
    if not _SAFE.fullmatch(str(Path(path).resolve())):
        raise UserError(f"--folder={path}: has characters that are not possible in the servers' configurations")
    try:
        return private_folder(path)
    except UserError as error:
        raise UserError(f"--folder={path}: {error}") from error


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Locks a directory, so that only one server uses it."""
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"--folder={folder}: another server uses it; stop that one, or use another directory"
            ) from error
        yield


def _say(message: str) -> None:
    print(f"serve: {escaped(message)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
