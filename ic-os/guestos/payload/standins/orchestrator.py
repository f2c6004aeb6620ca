"""Takes the place of the orchestrator: runs the replica, and does what the registry says.

At its start, in this order: it makes its folders, waits for the crypto service, reads the version, registers the node,
and runs `manageboot.sh confirm` once, whatever comes of it. Then, again and again: it replicates the registry, upgrades
the system, starts the replica if the node is in a subnet, has guestos_tool set the node's IPv4 address, and after a
change of the registry hands the SSH keys to provision-ssh-keys.sh and writes the firewall rules. After the node has
left its subnet it removes the state, and has sync_fstrim.sh free the space. A failed step is logged and tried again.
After the commit of an upgrade its exit status is 42. The dashboard counts the SSH keys that read-ssh-keys.sh prints.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from standins import NOTICE
from standins.config import Config, read_config, socket_address
from standins.firewall import DISABLED, ruleset, write_rules
from standins.host import signer, tell_host
from standins.ipv4 import set_ipv4, shown
from standins.problems import StandInError, parser, run, say
from standins.process_metrics import process_metrics
from standins.registry import Ipv4, Registry, local_registry, register, replicate
from standins.replica_process import ReplicaProcess
from standins.state import remove_state
from standins.upgrade import EXIT_STATUS, call, upgrade
from standins.web import Server, ask, fetch, listen

PROGRAM = "orchestrator"
CATCH_UP_PACKAGE = "cup.types.v1.CatchUpPackage.pb"
DASHBOARD = ("::", 7070)

_VERSION = re.compile(r"[A-Za-z0-9._-]+")
_PERIOD = 10.0
_RETRY = 2.0


@dataclass
class Orchestrator:
    """Works until `stop` is called, or an upgrade was committed.

    Attributes:
        options: the flags.
        config: of ic.json5.
        version: of the running system.
        period: time between two rounds, in seconds.
        retry: time between two tries at the start, in seconds.
    """

    options: argparse.Namespace
    config: Config
    version: str
    period: float = _PERIOD
    retry: float = _RETRY
    node_id: str = ""
    replica: ReplicaProcess = field(init=False)
    _ipv4: Ipv4 | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _said: dict[str, str] = field(default_factory=dict)
    _applied: dict[str, tuple[int, str | None]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.replica = ReplicaProcess(self.options.ic_binary_directory / "replica")

    def stop(self) -> None:
        """Ends `run`. May be called from a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Works; returns the exit status."""
        self._try(self._node_key)
        tell_host(
            self.options.ic_binary_directory,
            *("--notify", f"node-id {self.node_id}: starting with version {self.version}", "--count", "1"),
        )
        if self.options.enable_provisional_registration:
            self._try(self._register)
        if self._stop.is_set():
            return 0
        self._confirm()
        try:
            while not self._stop.is_set():
                if self._round():
                    return EXIT_STATUS
                self._stop.wait(self.period)
        finally:
            self.replica.end()
        return 0

    def _try(self, step: Callable[[], None]) -> None:
        """Does a step of the start again and again, until it succeeds."""
        last = ""
        while not self._stop.is_set():
            try:
                step()
            except StandInError as error:
                if str(error) != last:
                    say(PROGRAM, f"waiting: {error}")
                last = str(error)
                self._stop.wait(self.retry)
            else:
                return

    def _node_key(self) -> None:
        self.node_id = ask(self.config.vault, "/node-id").strip()

    def _register(self) -> None:
        if local_registry(self.config) is None:
            name = signer(self.config.signing_keys, self.options.ic_binary_directory)
            register(self.config, self.node_id, name)
            replicate(self.config)
            say(PROGRAM, f"registered with {name}")

    def _confirm(self) -> None:
        try:
            subprocess.run([self._manageboot, "confirm"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        except OSError as error:
            say(PROGRAM, f"{self._manageboot}: {error.strerror}")

    @property
    def _manageboot(self) -> Path:
        path: Path = self.options.ic_binary_directory / "manageboot.sh"
        return path

    def _round(self) -> bool:
        """Does what the registry says; returns whether an upgrade was committed."""
        self._step("replication", lambda: replicate(self.config))
        registry: list[Registry] = []
        self._step("registry", lambda: registry.extend(filter(None, [local_registry(self.config)])))
        if not registry:
            return False
        known = registry[0]
        if self._step("upgrade", lambda: self._upgrade(known)) and self._needs_upgrade(known):
            return True
        self._step("replica", lambda: self._run_replica(known))
        self._step("IPv4", lambda: self._configure_ipv4(known))
        for name, apply in (("SSH keys", self._provide_keys), ("firewall", self._write_firewall)):
            state = (known.version, known.subnet)
            if self._applied.get(name) != state and self._step(name, lambda apply=apply: apply(known)):  # type: ignore[misc]
                self._applied[name] = state
        return False

    def _step(self, name: str, action: Callable[[], None]) -> bool:
        """Does a step; returns whether it succeeded. The same error is logged once."""
        try:
            action()
        except StandInError as error:
            if self._said.get(name) != str(error):
                say(PROGRAM, f"{name}: {error}")
            self._said[name] = str(error)
            return False
        self._said.pop(name, None)
        return True

    def _needs_upgrade(self, registry: Registry) -> bool:
        return registry.release is not None and registry.release.version != self.version

    def _upgrade(self, registry: Registry) -> None:
        if registry.release is not None and self._needs_upgrade(registry):
            say(PROGRAM, f"upgrading from {self.version} to {registry.release.version}")
            images, data = self.options.replica_binary_dir, self.options.orchestrator_data_directory
            upgrade(registry.release, images, self._manageboot, data)
            say(PROGRAM, "the upgrade is committed")

    def _run_replica(self, registry: Registry) -> None:
        package = self.options.cup_dir / CATCH_UP_PACKAGE
        if registry.subnet is None:
            self.replica.end()
            if package.exists():
                self._leave_subnet(package)
            return
        try:
            package.write_text(f"{registry.version}\n", encoding="ascii")
        except OSError as error:
            raise StandInError(f"{package}: {error.strerror}") from error
        self.replica.ensure(
            f"--replica-version={self.version}",
            f"--config-file={self.options.replica_config_file}",
            f"--catch-up-package={package}",
            f"--force-subnet={registry.subnet}",
        )

    def _leave_subnet(self, package: Path) -> None:
        """Removes the state of the replica, and the catch-up package when all is done."""
        remove_state(self.config)
        call(self.options.ic_binary_directory / "sync_fstrim.sh")
        package.unlink()
        say(PROGRAM, "left the subnet: the state is removed")

    def _configure_ipv4(self, registry: Registry) -> None:
        """Sets the address of the registry if it is another than that which this process has set."""
        if registry.ipv4 != self._ipv4:
            set_ipv4(registry.ipv4, self.options.ic_binary_directory)
            self._ipv4 = registry.ipv4
            say(PROGRAM, f"the IPv4 address is {shown(registry.ipv4)}")

    def _provide_keys(self, registry: Registry) -> None:
        """Hands the keys over; the exit status of the script is not looked at."""
        script = self.options.ic_binary_directory / "provision-ssh-keys.sh"
        for account, keys in registry.ssh_keys.items():
            try:
                # As in a release, what the script logs goes to the journal with the lines of this program.
                said = subprocess.PIPE
                subprocess.run([script, account], input="\n".join(keys).encode(), stdout=said, check=False)
            except OSError as error:
                raise StandInError(f"{script}: {error.strerror}") from error

    def _write_firewall(self, registry: Registry) -> None:
        firewall = self.config.firewall
        if firewall.config_file != DISABLED:
            write_rules(Path(firewall.config_file), ruleset(firewall, registry.rules, registry.nodes))

    def dashboard(self, path: str) -> str | None:
        """Returns the text of the dashboard; the launcher of virtual machines names the path /status."""
        if path == "/ssh-keys":
            return "".join(f"{account}: {self._keys(account)}\n" for account in ("readonly", "backup", "admin"))
        if path not in ("/", "/status"):
            return None
        known = local_registry(self.config)
        return (
            f"{NOTICE}\nnode ID: {self.node_id}\nversion: {self.version}\n"
            f"registry version: {known.version if known else 'none'}\nsubnet: {known.subnet if known else None}\n"
            f"replica process: {self.replica.pid}\nreplica: {self._replica_status()}\n"
        )

    def _keys(self, account: str) -> str:
        """Returns how many SSH keys an account has; or why that is not known."""
        script = self.options.ic_binary_directory / "read-ssh-keys.sh"
        try:
            return str(len(call(script, account).splitlines()))
        except StandInError as error:
            return str(error)

    def _replica_status(self) -> str:
        """Returns what the replica says of itself, in one line of JSON; or why it says nothing."""
        try:
            return fetch(self.config.endpoints["api"], "/status").strip()
        except StandInError as error:
            return str(error)

    def metrics(self, path: str) -> str | None:
        """Returns the metrics."""
        info = f'stand_in_orchestrator_info{{version="{self.version}"}} 1\n'
        return info + process_metrics() if path == "/metrics" else None


def flags() -> argparse.ArgumentParser:
    """Returns the parser of the flags."""
    result = parser(PROGRAM, "Runs the replica, and upgrades the system.")
    folders = {
        "--replica-binary-dir": "folder for update images",
        "--cup-dir": "folder for catch-up packages",
        "--replica-config-file": "ic.json5",
        "--version-file": "file with the version of the system",
        "--ic-binary-directory": "folder with the programs of the release",
        "--orchestrator-data-directory": "folder for the time of the last reboot",
    }
    for name, text in folders.items():
        result.add_argument(name, metavar="PATH", type=Path, required=True, help=text)
    result.add_argument("--metrics-listen-addr", metavar="IP:PORT", type=socket_address, default=("0.0.0.0", 9091))
    result.add_argument("--enable-provisional-registration", action="store_true", help="register the node with the NNS")
    result.add_argument("--node-id", action="store_true", help="print the ID of the node")
    return result


def read_version(path: Path) -> str:
    """Returns the version of the system.

    Raises:
        StandInError: the file cannot be read, or has no version.
    """
    try:
        version = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise StandInError(f"--version-file: {error}") from error
    if not _VERSION.fullmatch(version):
        raise StandInError(f"--version-file: {path}: {version!r} is not a version")
    return version


def make_folder(path: Path) -> None:
    """Makes a folder in one that exists, unless it is there.

    Raises:
        StandInError: it cannot be made.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise StandInError(f"{path}: cannot be made: {error.strerror}") from error


def main(
    arguments: Sequence[str] | None = None,
    period: float = _PERIOD,
    retry: float = _RETRY,
    dashboard: tuple[str, int] = DASHBOARD,
) -> None:
    """Runs the orchestrator until SIGTERM or SIGINT, or until an upgrade was committed."""
    run(PROGRAM, lambda: _main(arguments, period, retry, dashboard))


def _main(arguments: Sequence[str] | None, period: float, retry: float, dashboard: tuple[str, int]) -> int:
    options = flags().parse_args(arguments)
    config = read_config(options.replica_config_file)
    if options.node_id:
        print(ask(config.vault, "/node-id").strip())
        return 0
    make_folder(options.replica_binary_dir)
    make_folder(options.cup_dir)
    orchestrator = Orchestrator(options, config, read_version(options.version_file), period, retry)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: orchestrator.stop())
    Server(listen(options.metrics_listen_addr), orchestrator.metrics).start()
    Server(listen(dashboard), orchestrator.dashboard).start()
    say(PROGRAM, f"{NOTICE}; version {orchestrator.version}")
    return orchestrator.run()
