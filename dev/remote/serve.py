"""Starts a server of a remote cache or of remote execution on the loopback interface.

It prints Bazel's startup option for it, which names a file of flags, and runs until it is interrupted; the stored blobs
and the logs are kept. Who has the file can read and write blobs, and with remote execution execute programs as the user
who started the server. Nobody else can read it: it has a token, new with each start, without which the server refuses
all requests and logs them.
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

from dev.remote.buildgrid import start_execution, start_grpc_cache
from dev.remote.children import Children
from dev.remote.credentials import Credentials, bazelrc
from dev.remote.http_cache import start_http_cache
from dev.remote.ports import choose_port
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
    port: int = argument("port to listen on; 0 for any free one", default=0)
    workers: int = argument("number of actions to run in parallel", default=len(os.sched_getaffinity(0)))


def main(arguments: Arguments) -> None:
    """Runs the server until it is interrupted."""
    if arguments.workers < 1:
        raise UserError(f"--workers={arguments.workers}: must be 1 or more")
    folder = _folder(arguments.folder)
    port = choose_port(arguments.port)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone_in(folder))
        started = _start(arguments, folder, port, stack)
        rc = stack.enter_context(bazelrc(folder, [f"--config={_CONFIGS[arguments.server]}", *started.flags]))
        _say(f"{arguments.server} listens at port {port}, stores in {folder} and logs to {started.children.logs}")
        _say(f"flags and credentials for Bazel: bazel --bazelrc={rc} build …")
        print(f"--bazelrc={rc}", flush=True)
        started.children.watch(_say)


@dataclass(frozen=True)
class _Started:
    """The processes of a server, and Bazel's flags for it."""

    children: Children
    flags: list[str]


def _start(arguments: Arguments, folder: Path, port: int, stack: contextlib.ExitStack) -> _Started:
    """Starts the processes, which `stack` ends; PostgreSQL's data and the workers' socket are removed after that."""
    credentials = Credentials.new(folder)
    match arguments.server:
        case "http-cache":
            children = stack.enter_context(Children(folder / "logs"))
            flags = start_http_cache(children, folder, port, credentials)
        case "grpc-cache":
            children = stack.enter_context(Children(folder / "logs"))
            flags = start_grpc_cache(children, _BGD, folder, port, credentials)
        case "execution":
            user = unprivileged_user()
            scratch = stack.enter_context(temporary_folder(user))
            socket = stack.enter_context(temporary_folder(None)) / "workers"
            children = stack.enter_context(Children(folder / "logs"))
            database = start_postgresql(children, scratch, user)
            flags = start_execution(
                children, _BGD, folder, port, credentials, database=database, socket=socket, workers=arguments.workers
            )
    return _Started(children, flags)


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
