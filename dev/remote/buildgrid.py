"""Starts BuildGrid as a cache (gRPC), or for remote execution with BuildBox workers.

See https://buildgrid.build/user/reference_server_config.html for the configuration.
"""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

from dev.remote.children import Children
from dev.remote.credentials import TOKEN_FILE, Credentials
from dev.remote.ports import HOST, listens
from dev.remote.programs import find_program
from tools.core.errors import UserError

_SERVER = """\
server:
  - !channel
    address: "{host}:{port}"
    insecure-mode: true
"""
_WORKERS = """\
  - !channel
    address: "unix:{socket}"
    insecure-mode: true
"""
_CACHE = """\
authorization:
  method: none  # bgd.py checks every call
thread-pool-size: 100
storages:
  - !disk-storage &storage
    path: "{folder}"
caches:
  - !lru-action-cache &actions
    storage: *storage
    max-cached-refs: 1000000
    cache-failed-actions: false
"""
_EXECUTION = """\
connections:
  - !sql-connection &database
    connection-string: "{database}"
schedulers:
  - !sql-scheduler &scheduler
    storage: *storage
    sql: *database
    action-cache: *actions
    property-set: !dynamic-property-set
      match-property-keys: [OSFamily, ISA]
    assigners:
      - !priority-age-assigner
        count: 1
        interval: 0.2
    poll-interval: 0.2
    # Reassign the actions of a dead worker soon.
    bot-session-keepalive-timeout: {lost_seconds}
    session-expiry-timer-interval: 2
    max-job-attempts: 3
"""
_SERVICES = """\
instances:
  - name: ""
    services:
      - !cas
        storage: *storage
      - !bytestream
        storage: *storage
      - !action-cache
        cache: *actions
"""
_EXECUTION_SERVICE = """\
      - !execution
        scheduler: *scheduler
"""
_LOST_SECONDS = 5


def start_grpc_cache(children: Children, bgd: str, folder: Path, port: int, credentials: Credentials) -> list[str]:
    """Starts BuildGrid as a cache, and returns Bazel's flags for it.

    Args:
        children: where the process is added.
        bgd: path of BuildGrid's command line.
        folder: directory for the blobs, which are kept; the action cache is in memory.
        port: port of the loopback interface.
        credentials: what clients have to give.
    """
    _start_server(children, bgd, folder, port, credentials, configuration=_SERVER + _CACHE + _SERVICES)
    return [f"--remote_cache=grpc://{HOST}:{port}", f"--remote_header=authorization={credentials.bearer}"]


def start_execution(
    children: Children,
    bgd: str,
    folder: Path,
    port: int,
    credentials: Credentials,
    *,
    database: str,
    socket: Path,
    workers: int,
) -> list[str]:
    """Starts BuildGrid and its workers, and returns Bazel's flags for it.

    Args:
        children: where the processes are added.
        bgd: path of BuildGrid's command line.
        folder: directory for the blobs, which are kept, and for the workers' directories.
        port: port of the loopback interface.
        credentials: what clients have to give.
        database: URL of a PostgreSQL server, as for SQLAlchemy.
        socket: path for the socket of the workers, in a directory that other users cannot enter. They have no
            credentials, since they give them only to servers with TLS.
        workers: number of workers; each one runs one action at a time.

    Raises:
        UserError: the database cannot be initialized.
    """
    worker = find_program("buildbox-worker", "buildbox")
    runner = find_program("buildbox-run-hosttools", "buildbox")
    _migrate(children, bgd, database)
    _start_server(
        children,
        bgd,
        folder,
        port,
        credentials,
        configuration=_SERVER + _WORKERS + _CACHE + _EXECUTION + _SERVICES + _EXECUTION_SERVICE,
        database=database,
        socket=socket,
        lost_seconds=_LOST_SECONDS,
    )
    properties = {"ISA": platform.machine().replace("_", "-"), "OSFamily": "linux"}
    for number in range(1, workers + 1):
        name = f"worker-{number}"
        workspace = folder / name
        workspace.mkdir(exist_ok=True)
        command = [worker, f"--remote=unix:{socket}", f"--buildbox-run={runner}"]
        command += [f"--runner-arg={argument}" for argument in ("--disable-localcas", f"--workspace-path={workspace}")]
        for key, value in properties.items():
            command += ["--platform", f"{key}={value}"]
        command += ["--graceful-shutdown-timeout=1", "--concurrent-jobs=1", name]
        children.start(name, command, spare=True)
    flags = [f"--remote_executor=grpc://{HOST}:{port}", f"--remote_header=authorization={credentials.bearer}"]
    return flags + [f"--remote_default_exec_properties={key}={value}" for key, value in properties.items()]


def _migrate(children: Children, bgd: str, database: str) -> None:
    log = children.logs / "migration.log"
    with log.open("wb") as output:
        done = subprocess.run([bgd, "migrate", "apply", database], stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise UserError(f"BuildGrid: cannot initialize its database; see {log}")


def _start_server(
    children: Children,
    bgd: str,
    folder: Path,
    port: int,
    credentials: Credentials,
    *,
    configuration: str,
    **values: object,
) -> None:
    path = folder / "buildgrid.yml"
    path.write_text(configuration.format(folder=folder / "stored", host=HOST, port=port, **values))
    environment = {TOKEN_FILE: str(credentials.token_file())}
    child = children.start("buildgrid", [bgd, "server", "start", path], env=environment)
    child.wait_until(lambda: listens(port))
