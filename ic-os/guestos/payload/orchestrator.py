#!/usr/bin/python3 -IB
"""The reference orchestrator: starts the replica, monitors its health, and confirms the boot when it is healthy.

It queries the status of the replica once a second, and less often once the boot is confirmed. After several healthy
responses in a row it runs `manageboot.sh confirm`, and again after each time the replica was unhealthy; confirming a
confirmed boot has no effect. A replica that exits, or is unhealthy for too long, is restarted, with a growing delay. A
system whose replica never becomes healthy is never confirmed, so the next boot falls back to the previous system.
"""

from __future__ import annotations

import argparse
import http.client
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_REQUEST_SECONDS = 5
_STOP_SECONDS = 10
_MOST_STATUS_BYTES = 1 << 16


def is_healthy(port: int) -> bool:
    """Returns whether the replica on a port of this machine reports that it is healthy."""
    connection = http.client.HTTPConnection("localhost", port, timeout=_REQUEST_SECONDS)
    try:
        connection.request("GET", "/status")
        response = connection.getresponse()
        status = json.loads(response.read(_MOST_STATUS_BYTES))
        return response.status == http.client.OK and status["status"] == "healthy"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return False
    finally:
        connection.close()


@dataclass
class Orchestrator:
    """Runs a replica until `stop` is called.

    Attributes:
        command: the command that starts the replica.
        healthy: returns whether the replica is healthy.
        confirm: confirms the boot; returns whether it succeeded.
        period: the time between two queries of the status, in seconds.
        steady_period: the same once the boot is confirmed.
        needed: the number of healthy responses in a row after which the boot is confirmed.
        patience: the number of unhealthy responses in a row after which the replica is restarted.
        longest_delay: the upper bound of the delay before a restart, in seconds.
    """

    command: Sequence[str]
    healthy: Callable[[], bool]
    confirm: Callable[[], bool]
    period: float = 1.0
    steady_period: float = 10.0
    needed: int = 3
    patience: int = 60
    longest_delay: float = 30.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """Ends `run` and the replica. May be called from a signal handler or another thread."""
        self._stop.set()

    def run(self) -> None:
        """Starts the replica, and restarts it whenever it ends, until `stop` is called."""
        delay = self.period
        while not self._stop.is_set():
            try:
                replica = subprocess.Popen(self.command)
            except OSError as error:
                _say(f"{self.command[0]} cannot be started: {error}")
            else:
                if self._watch(replica):
                    delay = self.period
                _end(replica)
            if self._stop.is_set():
                return
            _say(f"the replica is restarted in {delay:g} s")
            self._stop.wait(delay)
            delay = min(delay * 2, self.longest_delay)

    def _watch(self, replica: subprocess.Popen[bytes]) -> bool:
        """Monitors a replica until it exits or has to be restarted; returns whether the boot was confirmed then."""
        good = bad = 0
        confirmed = False
        while not self._stop.wait(self.steady_period if confirmed else self.period):
            if replica.poll() is not None:
                _say(f"the replica ended with status {replica.returncode}")
                return confirmed
            if self.healthy():
                good, bad = good + 1, 0
            else:
                good, bad = 0, bad + 1
            if bad == self.patience:
                _say(f"the replica was unhealthy {bad} times in a row")
                return confirmed
            # After a failed confirmation `good` keeps growing, so each further healthy response is a retry.
            if good >= self.needed and not confirmed:
                confirmed = self.confirm()
                _say("the replica is healthy: the boot is confirmed" if confirmed else "the boot cannot be confirmed")
            confirmed = confirmed and bad == 0
        return confirmed


def confirm_boot(manageboot: str) -> bool:
    """Runs `manageboot.sh confirm` and returns whether it succeeded."""
    try:
        return subprocess.run([manageboot, "confirm"], check=False).returncode == 0
    except OSError as error:
        _say(f"{manageboot}: {error}")
        return False


def _end(replica: subprocess.Popen[bytes]) -> None:
    replica.terminate()
    try:
        replica.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        replica.kill()
        replica.wait()


def _say(text: str) -> None:
    print(f"orchestrator: {text}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the orchestrator until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="orchestrator", description="The reference orchestrator.")
    for name in ("replica-binary-dir", "cup-dir", "replica-config-file", "ic-binary-directory", "version-file"):
        parser.add_argument(f"--{name}", required=True, metavar="PATH")
    parser.add_argument("--orchestrator-data-directory", metavar="PATH")
    parser.add_argument("--enable-provisional-registration", action="store_true")
    parser.add_argument("--port", type=int, default=8080, help="the replica's HTTP port (default: %(default)s)")
    options = parser.parse_args(arguments)
    programs = options.ic_binary_directory
    orchestrator = Orchestrator(
        command=[f"{programs}/replica", "--port", str(options.port)],
        healthy=lambda: is_healthy(options.port),
        confirm=lambda: confirm_boot(f"{programs}/manageboot.sh"),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: orchestrator.stop())
    orchestrator.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
