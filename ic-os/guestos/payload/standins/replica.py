"""Takes the place of the replica: serves its status at the addresses of ic.json5, and uses what a replica uses.

It serves, by HTTP:

    http_handler.listen_addr   /status, /api/v2/status   a JSON object (a replica responds in CBOR)
                               /version                  the version, as text
    metrics.exporter.http      /metrics                  metrics, as text
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from standins import NOTICE
from standins.config import Config, read_config
from standins.problems import StandInError, parser, run, say
from standins.process_metrics import process_metrics
from standins.sandboxes import Sandboxes
from standins.web import Server, ask, listen

PROGRAM = "replica"
_VERSION = re.compile(r"[A-Za-z0-9._-]+")


def problems(config: Config, sandboxes: Sandboxes) -> list[str]:
    """Returns what a replica could not use: the crypto service, the adapters, its folders, /proc, its sandboxes."""
    found = []
    for path, what in [(config.vault, "/node-id"), *((path, "/name") for path in config.adapters.values())]:
        try:
            ask(path, what)
        except StandInError as error:
            found.append(str(error))
    for folder in (config.state_root, config.consensus_pool, config.backup_spool):
        try:
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            found.append(f"{folder}: cannot be written to: {error.strerror}")
    try:
        process_metrics()
    except StandInError as error:
        found.append(str(error))
    return found + sandboxes.problems()


def status(found: list[str], version: str, subnet: str, started: float) -> dict[str, object]:
    """Returns the object that /status serves, with the problems that were found."""
    return {
        "status": "unhealthy" if found else "healthy",
        "problems": found,
        "version": version,
        "subnet": subnet,
        "implementation": NOTICE,
        "uptime_seconds": int(time.monotonic() - started),
    }


def main(arguments: Sequence[str] | None = None, programs: Path | None = None) -> None:
    """Serves until a signal ends the process.

    Args:
        arguments: the command line without the program; by default that of this process.
        programs: folder with the programs of the sandboxes; by default that of this program.
    """
    run(PROGRAM, lambda: _serve(arguments, Path(sys.argv[0]).parent if programs is None else programs))


def _serve(arguments: Sequence[str] | None, programs: Path) -> int:
    flags = parser(PROGRAM, "Runs the canisters of a subnet.")
    flags.add_argument("--guestos-version", metavar="VERSION", help="given by orchestrators of later releases")
    flags.add_argument("--replica-version", metavar="VERSION", required=True, help="version of the system")
    flags.add_argument("--config-file", metavar="FILE", type=Path, required=True, help="ic.json5")
    flags.add_argument("--catch-up-package", metavar="FILE", type=Path, required=True, help="where the replica starts")
    flags.add_argument("--force-subnet", metavar="SUBNET", required=True, help="ID of the node's subnet")
    options = flags.parse_args(arguments)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    if not _VERSION.fullmatch(options.replica_version):
        raise StandInError(f"--replica-version: {options.replica_version!r} is not a version")
    if not options.catch_up_package.is_file():
        raise StandInError(f"--catch-up-package: there is no file {options.catch_up_package}")
    config = read_config(options.config_file)
    started = time.monotonic()
    # It is missing after the node has left another subnet. If it cannot be made, the status says so.
    with contextlib.suppress(OSError):
        config.consensus_pool.mkdir(exist_ok=True)
    sandboxes = Sandboxes(programs, config.state_root)
    # The launcher is started first, as in a release, and the processes are in the group of this one.
    for problem in sandboxes.problems():
        say(PROGRAM, problem)

    def answer(path: str) -> str | None:
        if path in ("/status", "/api/v2/status"):
            found = problems(config, sandboxes)
            said = status(found, options.replica_version, options.force_subnet, started)
            return json.dumps(said, sort_keys=True) + "\n"
        return f"{options.replica_version}\n" if path == "/version" else None

    Server(listen(config.endpoints["api"]), answer).start()
    info = f'stand_in_replica_info{{version="{options.replica_version}"}} 1\n'
    metrics = listen(config.endpoints["metrics"])
    Server(metrics, lambda path: info + process_metrics() if path == "/metrics" else None).start()
    host, port = config.endpoints["api"]
    say(PROGRAM, f"{NOTICE}; version {options.replica_version}, listening at {host} port {port}")
    while True:
        signal.pause()
