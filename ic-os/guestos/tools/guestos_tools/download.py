"""Downloads files whose hash is known.

What was received of a file stays beside its place, under a name of its own, until it is complete and its hash is right;
a later call goes on there. Proxies and certificates are those of the environment (see `urllib.request`).
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.core.errors import UserError

_CHUNK = 1 << 18
_MOST_TEXT = 1 << 20
_MOST_WRONG = 2
"""How many times a file is received as a whole, and wrong, before its server is given up."""

TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a server after which it is worth asking again (RFC 9110, section 15)."""

_NOT_THERE = frozenset({404, 410})


class NotThereError(UserError):
    """The server has no such file."""


class ForbiddenError(UserError):
    """The server does not give the file; S3 says so of a missing one, too, where nobody may list the bucket."""


class TransientError(Exception):
    """Something that may be gone at the next attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How much trouble is taken.

    Attributes:
        attempts: how many in a row may fail at a URL; one that got further than all before counts as the first.
        timeout: how long to wait for a server, in seconds.
        pause: before the second attempt, in seconds; it doubles from attempt to attempt.
        https_only: whether a URL without TLS is refused, also one that a server redirects to.
        permission: what the user gives to have it taken, for the message; empty if nothing does.
    """

    attempts: int = 5
    timeout: float = 30
    pause: float = 1
    https_only: bool = False
    permission: str = ""


def fetch(
    urls: Sequence[str],
    path: Path,
    sha256: str,
    policy: Policy | None = None,
    tell: Callable[[int], None] = lambda _count: None,
) -> None:
    """Makes sure that a file is there, downloading it where it isn't or where its hash is wrong.

    Args:
        urls: where to find it, in this order.
        path: where it goes; the folder exists.
        sha256: of the file, in hex.
        policy: how much trouble to take.
        tell: told how many bytes were received, each time.

    Raises:
        NotThereError: no server has it.
        UserError: it can't be had; the message says why for each URL.
    """
    if path.is_file() and sha256_of(path) == sha256:
        return
    part = path.with_name(f".{path.name}.part")
    errors: list[UserError] = []
    for url in urls:
        try:
            _fetch_from(url, part, sha256, policy or Policy(), tell)
        except UserError as error:
            errors.append(error)
        else:
            os.replace(part, path)
            return
    kind = NotThereError if all(isinstance(error, NotThereError) for error in errors) else UserError
    raise kind("; ".join(map(str, errors)))


def fetch_text(url: str, policy: Policy | None = None) -> str:
    """Returns a short text whose hash is not known.

    Raises:
        NotThereError: the server doesn't have it.
        UserError: it can't be had, or is no text of at most 1 MiB.
    """
    received = bytearray()

    def receive() -> bool:
        received.clear()
        with _answer(url, 0, policy or Policy()) as answer:
            for chunk in _chunks(answer):
                received.extend(chunk)
                if len(received) > _MOST_TEXT:
                    raise UserError(f"{url}: is larger than {_MOST_TEXT} bytes, which is not what it should be")
        return True

    attempt(url, receive, lambda: 0, policy or Policy())
    try:
        return received.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{url}: is not text: {error}") from error


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Keeps other processes that ask for the same out of a folder, while the block runs; they wait.

    Args:
        folder: exists.
        waiting: called before this process waits for another one.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def attempt(url: str, step: Callable[[], object], progress: Callable[[], int], policy: Policy) -> None:
    """Calls `step` until it succeeds, or fails too often without `progress` becoming more than it ever was.

    Args:
        url: that is asked, for the message.
        step: one attempt; raises TransientError where another one may succeed.
        progress: returns how many bytes a failed attempt left for the next one.
        policy: how much trouble to take.

    Raises:
        OSError: of a file of this machine.
        UserError: the last attempt failed, or another one would not help.
    """
    failures, most = 0, progress()
    while True:
        try:
            step()
        except TransientError as error:
            reason = str(error)
        except (http.client.HTTPException, OSError) as error:
            reason = _reason(url, error)
        else:
            return
        now = progress()
        failures = 1 if now > most else failures + 1
        most = max(most, now)
        if failures >= policy.attempts:
            raise UserError(f"{url}: {reason} (attempt {failures}, the last one)")
        time.sleep(policy.pause * 2 ** (failures - 1))


def _fetch_from(url: str, part: Path, sha256: str, policy: Policy, tell: Callable[[int], None]) -> None:
    """Receives a file into `part`, going on with what is there."""
    wrong = 0

    def receive() -> bool:
        nonlocal wrong
        if part.exists() and sha256_of(part) == sha256:
            return True
        begin = _receive(url, part, policy, tell)
        found = sha256_of(part)
        if found == sha256:
            return True
        size = part.stat().st_size
        part.unlink()
        if begin == 0:
            wrong += 1
        if wrong == _MOST_WRONG:
            raise UserError(f"{url}: is a file of {size} bytes with SHA-256 {found}, and should have {sha256}")
        raise TransientError(f"SHA-256 is {found}, not {sha256}")

    attempt(url, receive, lambda: part.stat().st_size if part.exists() else 0, policy)


def _reason(url: str, error: http.client.HTTPException | OSError) -> str:
    """Returns what went wrong with a connection.

    Raises:
        OSError: it was a file of this machine.
        UserError: it will go wrong again.
    """
    if isinstance(error, OSError) and error.filename is not None:
        raise error
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, ssl.SSLCertVerificationError):
        raise UserError(f"{url}: the server's certificate is not valid: {inner.verify_message}") from error
    return str(inner) or type(inner).__name__


def _receive(url: str, part: Path, policy: Policy, tell: Callable[[int], None]) -> int:
    """Receives what is missing of a file; returns where it began, which is 0 where the server sent all of it."""
    have = part.stat().st_size if part.exists() else 0
    with _answer(url, have, policy) as answer:
        begin = _begin(answer)
        if begin not in (0, have):
            raise TransientError(f"asked for bytes from {have} on, the server sent those from {begin} on")
        with part.open("r+b" if have else "wb") as file:
            file.truncate(begin)
            file.seek(begin)
            for chunk in _chunks(answer):
                file.write(chunk)
                tell(len(chunk))
    return begin


def _answer(url: str, begin: int, policy: Policy) -> http.client.HTTPResponse:
    """Asks for a file, from an offset on.

    Raises:
        NotThereError: there is none.
        ForbiddenError: the server does not give it to this machine.
        UserError: the server refuses.
        TransientError: it may give it another time.
    """
    if not re.match("https?://", url):
        raise UserError(f"{url}: is not a URL that begins with http:// or https://")
    _check_scheme(url, url, policy)
    request = urllib.request.Request(url, headers={"Range": f"bytes={begin}-"} if begin else {})
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=policy.timeout)
    except urllib.error.HTTPError as error:
        text = f"the server answers {error.code} {error.reason}"
        if error.code in _NOT_THERE:
            raise NotThereError(f"{url}: is not there: {text}") from error
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and begin:
            return _answer(url, 0, policy)
        if error.code in TRANSIENT:
            raise TransientError(text) from error
        kind = ForbiddenError if error.code == http.HTTPStatus.FORBIDDEN else UserError
        raise kind(f"{url}: {text}") from error
    try:
        _check_scheme(url, answer.geturl(), policy)
    except UserError:
        answer.close()
        raise
    return answer


def _check_scheme(url: str, actual: str, policy: Policy) -> None:
    if policy.https_only and not actual.startswith("https://"):
        by = "" if actual == url else f"is redirected to {actual}, which "
        remedy = f"; {policy.permission} permits it" if policy.permission else ""
        raise UserError(
            f"{url}: {by}is not an https:// URL, and anybody between here and there could change the files{remedy}"
        )


def _begin(answer: http.client.HTTPResponse) -> int:
    """Returns which byte of the file comes first (RFC 9110, section 14.4)."""
    if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes ([0-9]+)-", answer.headers.get("Content-Range", ""))
    return int(match[1]) if match else -1


def _chunks(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    """Yields what the server sends.

    Raises:
        TransientError: the connection ended early.
    """
    announced = answer.length
    received = 0
    while chunk := answer.read(_CHUNK):
        received += len(chunk)
        yield chunk
    if announced is not None and received < announced:
        raise TransientError(f"the connection ended after {received} of {announced} bytes")
