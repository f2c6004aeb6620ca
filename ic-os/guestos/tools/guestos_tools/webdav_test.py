"""Tests what a WebDAV server is asked, and what is done about its answers; nginx is asked in publish_test.py."""

import base64
import contextlib
import socket
import ssl
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from guestos_tools.download import Policy
from guestos_tools.webdav import WebDav, without_credentials
from tools.core.errors import UserError
from tools.testing.oracles import ask

POLICY = Policy(attempts=3, timeout=10, pause=0)
LARGE = 64 << 20
"""More bytes than the buffers of a connection hold."""


class Exchange(BaseHTTPRequestHandler):
    """Answers with the next of `answers`, by default as a server does that has what it was given."""

    protocol_version = "HTTP/1.1"

    def _serve(self):
        self.server.requests.append(f"{self.command} {self.path}")
        self.server.authorizations.add(self.headers.get("Authorization"))
        answers = self.server.answers.get(self.command, [])
        if answers:
            answers.pop(0)(self)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == "GET":
            content = self.server.files.get(self.path)
            self.answer(404 if content is None else 200, content or b"")
        elif self.command == "DELETE":
            self.answer(404 if self.server.files.pop(self.path, None) is None else 204)
        else:
            if self.command == "PUT":
                self.server.files[self.path] = body
            self.answer(201)

    do_GET = do_PUT = do_DELETE = do_MKCOL = _serve  # noqa: N815 - names of the base class

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        for name, value in ({"Content-Length": length or len(body)} | headers).items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def says(status, body=b"", **headers):
    """Takes what was sent, and answers."""

    def answer(exchange):
        exchange.rfile.read(int(exchange.headers.get("Content-Length", 0)))
        exchange.answer(status, body, **headers)

    return answer


def resets(exchange):
    """Takes a part of what was sent, and resets the connection."""
    exchange.rfile.read(1 if exchange.command == "PUT" else 0)
    exchange.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    exchange.close_connection = True
    exchange.connection.close()


def ends_early(exchange):
    exchange.answer(200, b"begin", length=10)
    exchange.close_connection = True


def refuses_early(exchange):
    """Answers without taking anything, and takes no more; waits for the client to read the answer."""
    exchange.answer(413)
    exchange.connection.shutdown(socket.SHUT_WR)
    exchange.close_connection = True
    while exchange.connection.recv(1 << 16):
        pass


@contextlib.contextmanager
def serving(context=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), Exchange) as server:
        server.daemon_threads = True
        server.requests, server.files, server.answers, server.authorizations = [], {}, {}, set()
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.url = f"{'http' if context is None else 'https'}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def dav(server, **options):
    return WebDav(f"{server.url}/ic/", policy=POLICY, **options)


def test_files_are_written_read_and_removed(server, file):
    store = dav(server)
    assert store.get("a/b/sums 1") is None
    store.put("a/b/sums 1", file)
    store.put("a/c", file)
    assert store.get("a/b/sums 1") == b"content"
    for _ in range(2):
        store.delete("a/b/sums 1")
    assert server.files == {"/ic/a/c": b"content"}
    assert server.requests == [
        "GET /ic/a/b/sums%201",
        "MKCOL /ic/a/",
        "MKCOL /ic/a/b/",
        "PUT /ic/a/b/sums%201",
        "PUT /ic/a/c",
        "GET /ic/a/b/sums%201",
        "DELETE /ic/a/b/sums%201",
        "DELETE /ic/a/b/sums%201",
    ]
    assert server.authorizations == {None}


@pytest.mark.parametrize("status", [301, 403, 405, 409])
def test_folders_that_cannot_be_made_may_be_there(server, file, status):
    server.answers["MKCOL"] = [says(status)]
    dav(server).put("a/b", file)
    assert server.files == {"/ic/a/b": b"content"}


def test_what_failed_is_tried_again(server, file):
    server.answers["PUT"] = [says(503), resets]
    server.answers["GET"] = [resets, ends_early]
    store = dav(server)
    store.put("a", file)
    assert store.get("a") == b"content"
    server.answers["PUT"] = [says(503)] * 3
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:\d+/ic/a: the server answers 503 .* \(attempt 3, the "):
        store.put("a", file)


def test_what_is_refused_is_not_tried_again(server, file):
    server.answers["PUT"] = [says(507)]
    with pytest.raises(UserError, match=r"^http://127\.0\.0\.1:\d+/ic/a: PUT: the server answers 507 Insufficient St"):
        dav(server).put("a", file)
    server.answers["MKCOL"] = [says(401)]
    with pytest.raises(UserError, match=r"/ic/a/: MKCOL: the server answers 401 Unauthorized$"):
        dav(server).put("a/b", file)
    for method in ("GET", "DELETE"):
        server.answers[method] = [says(403)]
    with pytest.raises(UserError, match=r"/ic/a: GET: the server answers 403 Forbidden$"):
        dav(server).get("a")
    with pytest.raises(UserError, match=r"/ic/a: DELETE: the server answers 403 Forbidden$"):
        dav(server).delete("a")
    assert len(server.requests) == 4


def test_a_refusal_is_told_also_where_the_server_takes_no_more(server, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(LARGE)
    server.answers["PUT"] = [refuses_early]
    with pytest.raises(UserError, match="PUT: the server answers 413 "):
        dav(server).put("a", tmp_path / "large")


def test_checksums_are_short(server):
    server.files["/ic/a"] = bytes((1 << 20) + 1)
    with pytest.raises(UserError, match="/ic/a: is larger than 1048576 bytes"):
        dav(server).get("a")


def test_a_local_file_that_cannot_be_read(server, tmp_path):
    with pytest.raises(UserError, match="/none: cannot be read: No such file or directory"):
        dav(server).put("a", tmp_path / "none")


def basic(user, password):
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def test_a_user_logs_in_and_is_not_shown(server, file):
    dav(server, user="ann", password="pass:word").put("a", file)
    assert server.authorizations == {basic("ann", "pass:word")}
    server.authorizations.clear()
    url = server.url.replace("://", "://b%40ob:se%3Acret@")
    store = WebDav(url, user="ann", password="pass:word", policy=POLICY)
    store.put("a", file)
    assert server.authorizations == {basic("b@ob", "se:cret")}
    server.answers["PUT"] = [says(403)]
    with pytest.raises(UserError) as caught:
        store.put("a", file)
    assert str(caught.value).startswith(f"{server.url}/a: ")


def test_without_credentials():
    assert without_credentials("https://a:b@c@host:1/d@e") == "https://host:1/d@e"
    assert without_credentials("folder/a@b#c") == "folder/a@b#c"


def test_a_redirection(server, file):
    """Reading follows it, without the password; what is written has to be given the right address."""
    with serving() as other:
        other.files["/sums"] = b"other"
        server.answers["GET"] = [says(302, Location=f"{other.url}/sums")]
        server.answers["PUT"] = [says(307, Location=f"{other.url}/sums")]
        store = dav(server, user="ann", password="a")
        assert store.get("sums") == b"other"
        assert other.authorizations == {None}
        with pytest.raises(UserError, match=f"PUT: the server answers 307 .*, and has it at {other.url}/sums"):
            store.put("sums", file)


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_proxies_are_those_of_the_environment(server, file, monkeypatch, variable):
    monkeypatch.setenv(variable, server.url)
    WebDav("http://host.invalid/ic", policy=POLICY).put("a", file)
    assert server.requests == ["PUT http://host.invalid/ic/a"]


def test_the_certificate_is_verified(file, tmp_path, monkeypatch):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-days", "2"]
    ask(*request, "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with serving(context) as server:
        with pytest.raises(UserError, match="the server's certificate is not valid: self-signed certificate"):
            dav(server).put("a", file)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        dav(server).put("a", file)
        assert server.files == {"/ic/a": b"content"}
        with serving() as other:
            other.files["/sums"] = b"other"
            server.answers["GET"] = [says(302, Location=f"{other.url}/sums")]
            with pytest.raises(UserError, match="which is without TLS"):
                dav(server).get("sums")
