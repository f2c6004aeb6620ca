"""Reads and writes the files of a WebDAV server (RFC 4918).

A file is sent as it is read, so memory does not follow its size. Proxies and certificates are those of the environment
(see `urllib.request`); ALL_PROXY is the proxy of the schemes that have none.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote, unquote, urlsplit

from guestos_tools.download import TRANSIENT, Policy, TransientError, attempt
from tools.core.errors import UserError

_MOST_CONTENT = 1 << 20
"""Most bytes of a file that is read; those are checksums and signatures."""

_REDIRECTED = frozenset({301, 302, 303, 307, 308})

POLICY = Policy(timeout=600)
"""A server may copy a large file before it answers."""


class RefusedError(UserError):
    """The server refuses a request.

    Attributes:
        status: of its answer (RFC 9110, section 15).
    """

    def __init__(self, status: int, message: str) -> None:
        """Takes the status and the message."""
        super().__init__(message)
        self.status = status


class WebDav:
    """A folder of a server."""

    def __init__(self, url: str, user: str = "", password: str = "", policy: Policy = POLICY) -> None:
        """Asks nothing of the server.

        Args:
            url: of the folder; a user and a password in it come before the other ones.
            user: that logs in by Basic authentication (RFC 7617); empty: nobody does.
            password: of the user.
            policy: how much trouble to take.

        Raises:
            ValueError: it is no URL.
        """
        parts = urlsplit(url)
        _ = parts.port
        self._url = without_credentials(url).rstrip("/")
        if parts.username is not None:
            user, password = unquote(parts.username), unquote(parts.password or "")
        secret = base64.b64encode(f"{user}:{password}".encode()).decode()
        self._authorization = f"Basic {secret}" if user else ""
        self._policy = policy
        self._folders: set[str] = set()
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler(_proxies()), _HttpHandler(), _HttpsHandler()
        )

    def get(self, path: str) -> bytes | None:
        """Returns the content of a file of at most 1 MiB; None if there is none.

        Raises:
            UserError: the server can't be asked or refuses, or the file is larger.
        """
        content = b""

        def receive() -> None:
            nonlocal content
            with self._answer("GET", path) as answer:
                if urlsplit(self._url).scheme == "https" and not answer.geturl().startswith("https://"):
                    raise UserError(f"{self._url}/{path}: is redirected to {answer.geturl()}, which is without TLS")
                content = answer.read(_MOST_CONTENT + 1)
                if len(content) > _MOST_CONTENT:
                    raise UserError(f"{self._url}/{path}: is larger than {_MOST_CONTENT} bytes")
                if answer.length:
                    raise TransientError(f"the connection ended after {len(content)} bytes")

        try:
            self._attempt(path, receive)
        except RefusedError as error:
            if error.status not in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
                raise
            return None
        return content

    def put(self, path: str, file: Path) -> None:
        """Writes a file, and the folders that it is in.

        Raises:
            UserError: the local file can't be read, or the server can't be asked or refuses.
        """
        self._make_folders(path)

        def send() -> None:
            with file.open("rb") as content, self._answer("PUT", path, content):
                pass

        try:
            self._attempt(path, send)
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error.strerror}") from error

    def delete(self, path: str) -> None:
        """Removes a file, if it is there.

        Raises:
            UserError: the server can't be asked, or refuses.
        """
        try:
            self._ask("DELETE", path)
        except RefusedError as error:
            if error.status not in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.GONE):
                raise

    def _make_folders(self, path: str) -> None:
        """Makes the folders of a file, where the server lets us; if a folder is missing then, the file is refused."""
        for folder in reversed(PurePosixPath(path).parents[:-1]):
            if str(folder) in self._folders:
                continue
            try:
                self._ask("MKCOL", f"{folder}/")
            except RefusedError as error:
                # 405 says that it is there (RFC 4918, section 9.3.1). Some servers make folders by PUT alone.
                if error.status == http.HTTPStatus.UNAUTHORIZED:
                    raise
            self._folders.add(str(folder))

    def _ask(self, method: str, path: str) -> None:
        def step() -> None:
            with self._answer(method, path):
                pass

        self._attempt(path, step)

    def _attempt(self, path: str, step: Callable[[], None]) -> None:
        attempt(f"{self._url}/{path}", step, lambda: 0, self._policy)

    @contextlib.contextmanager
    def _answer(self, method: str, path: str, content: IO[bytes] | None = None) -> Iterator[http.client.HTTPResponse]:
        """Yields the answer to a request.

        Raises:
            RefusedError: the server refuses.
            TransientError: it may not refuse another time.
        """
        url = f"{self._url}/{quote(path)}"
        request = urllib.request.Request(url, content, method=method)
        if content is not None:
            request.add_header("Content-Length", str(os.fstat(content.fileno()).st_size))
            request.add_header("Content-Type", "application/octet-stream")
        if self._authorization:  # another server, to which this one redirects, doesn't get it
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            answer = self._opener.open(request, timeout=self._policy.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            text = f"the server answers {error.code} {error.reason}"
            if error.code in TRANSIENT:
                raise TransientError(text) from error
            if error.code in _REDIRECTED:
                text += f", and has it at {error.headers.get('Location', 'another address')}"
            raise RefusedError(error.code, f"{url}: {method}: {text}") from error
        with answer:
            yield answer


def without_credentials(url: str) -> str:
    """Returns a URL without its user and password; other addresses as they are."""
    return re.sub(r"^([A-Za-z0-9+.-]+://)[^/?#]*@", r"\1", url)


def _proxies() -> dict[str, str]:
    found = urllib.request.getproxies()
    everything = found.pop("all", None)
    return (dict.fromkeys(("http", "https"), everything) if everything else {}) | found


class _AnswersEarly(http.client.HTTPConnection):
    """A connection whose server may refuse a file before it has all of it, and then take no more."""

    def request(self, *arguments: object, **options: object) -> None:
        """Sends a request; if it is not taken to its end, the answer says why, and without one its reader fails."""
        try:
            super().request(*arguments, **options)  # type: ignore[arg-type]
        except (BrokenPipeError, ConnectionResetError):
            if self.sock is None:
                raise


class _AnswersEarlyByTls(_AnswersEarly, http.client.HTTPSConnection):
    """The same, with TLS."""


class _HttpHandler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_AnswersEarly, req)


class _HttpsHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_AnswersEarlyByTls, req, context=ssl.create_default_context())
