"""Checks of metrics and logs of a running machine, as monitoring from outside gets them."""

from __future__ import annotations

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tools.vm.checks import Checks
from tools.vm.shell import Shell

_CERTIFICATE = "/etc/node_exporter/node_exporter.crt"
_OPERATOR_KEY = "/var/lib/ic/data/node_operator_private_key.pem"
_SETTINGS = "/boot/config/filebeat.conf"


def check_metrics_and_journal(shell: Shell, version: str, checks: Checks) -> None:
    """Checks node_exporter and the gateway of the journal.

    Args:
        shell: of root.
        version: of the system.
        checks: takes the results.
    """
    verified = f"curl --silent --show-error --cacert {_CERTIFICATE} https://localhost:9100/metrics"
    metrics = shell.check(f"{verified} | grep --extended-regexp '^(guestos_|node_textfile_scrape_error)'").splitlines()
    metrics = [line.strip() for line in metrics]
    checks.true("node_exporter has the version", f'guestos_version{{version="{version}"}} 1' in metrics, str(metrics))
    key = f"guestos_node_operator_private_key_exists {int(shell.run(f'test -f {_OPERATOR_KEY}').status == 0)}"
    checks.true("node_exporter has whether there is an operator's key", key in metrics, str(metrics))
    checks.true("node_exporter reads all text files", "node_textfile_scrape_error 0" in metrics, str(metrics))
    code = shell.check("curl --silent --output /dev/null --write-out '%{http_code}' http://localhost:9100/metrics")
    checks.equal("node_exporter answers without TLS with status", code, "400")
    user = shell.check("ps -o user:20= -p $(systemctl show --property=MainPID --value node_exporter.service)")
    checks.equal("node_exporter runs as", user.strip(), "node_exporter")
    machine = json.loads(shell.check("curl --silent --show-error http://localhost:19531/machine"))
    checks.equal("the journal's gateway is of", machine["machine_id"], shell.check("cat /etc/machine-id"))


def check_log_shipping(shell: Shell, host: str, timeout: float, checks: Checks) -> None:
    """Checks that logs are shipped where the config store says, and only then.

    Args:
        shell: of root.
        host: address at which the machine reaches 127.0.0.1 of this one.
        timeout: for the machine, in seconds.
        checks: takes the results.
    """
    state = "systemctl show --property=ActiveState --value log-shipping.service"
    checks.equal("without hosts, log shipping is", shell.check(state), "inactive")
    word = uuid.uuid4().hex
    with _elasticsearch(word) as (port, arrived):
        shell.check(f"echo elasticsearch_hosts=http://{host}:{port} >{_SETTINGS}")
        message = json.dumps({"log_entry": {"word": word}})
        shell.check(f"logger --tag=shipping-test '{message}' && systemctl start log-shipping.service", timeout)
        user = shell.check("ps -o user:20= -p $(systemctl show --property=MainPID --value log-shipping.service)")
        checks.equal("log shipping runs as", user.strip(), "filebeat")
        documents = arrived(timeout)
    shell.check(f"systemctl stop log-shipping.service && rm {_SETTINGS}", timeout)
    checks.equal("a shipped log entry", [each["log_entry"] for each in documents], [{"word": word}])


@contextlib.contextmanager
def _elasticsearch(word: str) -> Iterator[tuple[int, _Arrived]]:
    """Runs a server that takes documents as Elasticsearch does.

    Yields:
        Its port on 127.0.0.1, and what waits for a document with a word.
    """
    arrived = _Arrived(word)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(b"{}")

        def do_POST(self) -> None:
            arrived.add(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(b'{"errors": false, "items": []}')

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keeps the log of the test for its results."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1], arrived
        finally:
            server.shutdown()
            thread.join()


class _Arrived:
    """Documents with a word: those that arrived, and how to wait for the first of them."""

    def __init__(self, word: str) -> None:
        self._word = word.encode()
        self._documents: list[dict[str, dict[str, str]]] = []
        self._event = threading.Event()

    def add(self, lines: bytes) -> None:
        """Takes the body of a bulk request: an action and a document in turn, one a line."""
        for line in lines.splitlines():
            if self._word in line and b'"log_entry":' in line:
                self._documents.append(json.loads(line))
                self._event.set()

    def __call__(self, timeout: float) -> list[dict[str, dict[str, str]]]:
        """Returns the documents as soon as there is one, or when the time is over."""
        self._event.wait(timeout)
        return self._documents
