"""A node in a temporary folder, for the tests of the stand-ins."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self, TypeVar

from guestos_tools.sandbox_programs import canister_sandbox, sandbox_launcher

_T = TypeVar("_T")

PACKAGES = Path(__file__).parent
SECONDS = 60
_PAUSE = 0.01
_IC_JSON5 = PACKAGES / "testdata" / "ic.json5"

_NAMES = "ic-crypto-csp.socket:ic-crypto-csp.socket"

_ACTIVATE = """
import os, socket, sys
names, code, count, *rest = sys.argv[1:]
paths, arguments = rest[: int(count)], rest[int(count) :]
for number, path in enumerate(paths, 3):
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    os.dup2(listening.detach(), number + 100)
for number in range(3, 3 + len(paths)):
    os.dup2(number + 100, number)
    os.close(number + 100)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(paths)), "LISTEN_FDNAMES": names}
os.execv(sys.executable, [sys.executable, "-B", "-c", code, *arguments])
"""


def free_port() -> int:
    """Returns a TCP port of ::1 that no program uses."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port: int = server.getsockname()[1]
        return port


def wait_for(condition: Callable[[], _T], what: str) -> _T:
    """Waits until a condition has a true value, which is returned."""
    deadline = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still waiting for {what}"
        time.sleep(_PAUSE)
    return value


def environment() -> dict[str, str]:
    """Returns the environment of a stand-in's process."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LISTEN_")}
    return kept | {"PYTHONPATH": os.pathsep.join([str(PACKAGES), *filter(None, [kept.get("PYTHONPATH")])])}


def write_sandboxes(folder: Path) -> None:
    """Writes the programs of sandboxes, linked to nothing but the C library, which machines that run tests have."""
    for name, program in (("canister_sandbox", canister_sandbox), ("sandbox_launcher", sandbox_launcher)):
        path = folder / name
        path.write_bytes(program(["libc.so.6"]))
        path.chmod(0o755)


class Node:
    """The folders, scripts and processes of a node below a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.api, self.metrics = free_port(), free_port()
        self.processes: list[subprocess.Popen[str]] = []
        for name in (
            "bin",
            "crypto",
            "run",
            "backup",
            "data/ic_registry_local_store",
            "data/ic_state",
            "data/orchestrator",
        ):
            (root / name).mkdir(parents=True)
        (root / "data/ic_consensus_pool").mkdir()
        (root / "crypto").chmod(0o750)
        (root / "data/nns_public_key.pem").write_text("key\n")
        (root / "version.txt").write_text("1.0\n")
        write_sandboxes(root / "bin")
        self.config = root / "ic.json5"
        self.configure()

    def configure(self, nns_url: str = "http://[::1]:9", **replaced: object) -> None:
        """Writes ic.json5; texts of it can be replaced."""
        text = _IC_JSON5.read_text()
        for name, value in {
            "ROOT": self.root,
            "API": self.api,
            "METRICS": self.metrics,
            "NNS": nns_url,
            **replaced,
        }.items():
            text = re.sub(rf"\b{name}\b", str(value), text)
        self.config.write_text(text)

    def script(self, name: str, text: str) -> None:
        """Writes an executable of the release."""
        path = self.root / "bin" / name
        path.write_text(text)
        path.chmod(0o755)

    def start(self, code: str, *arguments: object) -> subprocess.Popen[str]:
        """Starts a stand-in."""
        process = subprocess.Popen(
            [sys.executable, "-B", "-c", code, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        self.processes.append(process)
        return process

    def activate(
        self, code: str, *arguments: object, sockets: Sequence[str] = ("socket", "metrics"), names: str = _NAMES
    ) -> subprocess.Popen[str]:
        """Starts a stand-in with sockets in the folder run, as systemd does."""
        paths = [str(self.root / "run" / name) for name in sockets]
        return self.start(_ACTIVATE, names, code, len(paths), *paths, *arguments)

    def vault(self) -> subprocess.Popen[str]:
        """Starts the crypto service, and waits until it serves."""
        process = self.activate("from standins.crypto_csp import main; main()", "--replica-config-file", self.config)
        assert process.stdout is not None
        assert "stand-in" in process.stdout.readline()
        return process

    def end(self) -> None:
        """Ends the processes."""
        for process in self.processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()


class Nns:
    """An NNS node with a registry, and update images; a context manager.

    Attributes:
        registry: the document; None for a registry that has none.
        files: contents, or files with them, by path.
        requests: (method, path, JSON value of the body), in their order.
    """

    def __init__(self) -> None:
        self.registry: dict[str, object] | None = None
        self.files: dict[str, bytes | Path] = {}
        self.requests: list[tuple[str, str, object]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(("GET", self.path, None))
                if self.path == "/stand-in/registry.json" and outer.registry is not None:
                    self._send(json.dumps(outer.registry).encode())
                elif self.path in outer.files:
                    self._send(outer.files[self.path])
                else:
                    self.send_error(404)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(("POST", self.path, body))
                self._send(b"{}")

            def _send(self, data: bytes | Path) -> None:
                with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
                    self.send_response(200)
                    self.send_header("Content-Length", str(file.seek(0, io.SEEK_END)))
                    self.end_headers()
                    file.seek(0)
                    shutil.copyfileobj(file, self.wfile)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
