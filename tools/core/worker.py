"""Persistent workers: a process of a command that does one request of Bazel after another.

Requests and responses are lines of JSON: https://bazel.build/remote/creating. A request has the words of a command
line. It is done as in a process of its own: what it prints is the output of its response, and it reads nothing from
standard input. After an exception that isn't the user's error the process ends, as nobody knows in which state it is;
Bazel then starts another one.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from tools.core.errors import UserError
from tools.core.outputs import write_all

_DEFECT = 1
"""The status of a Python program after an exception."""


_BUILT = "bazel-out/"
_MAPPED = _BUILT + "cfg/"
"""What paths in arguments begin with where --experimental_output_paths=strip leaves the configuration out."""

_started = False
_digests: Mapping[str, str] = {}
"""Those of the inputs of the request that is done now, by their paths."""


def is_worker() -> bool:
    """Returns whether this process does requests, so that a later one may use what an earlier one has computed."""
    return _started


def input_digest(path: str) -> str | None:
    """Returns what tells the content of an input of the request from all others.

    Args:
        path: as an argument of the request names the file.

    Returns:
        The digest that Bazel gives, whose form is Bazel's. None if there is none, or if the file is not built by Bazel:
        a source file may have changed since Bazel read it.
    """
    return _digests.get(path)


@dataclass(frozen=True, slots=True)
class _Request:
    words: Sequence[str]
    id: int
    digests: Mapping[str, str]


def serve(work: Callable[[Sequence[str]], int]) -> None:
    """Does the requests on standard input until there are no more.

    Args:
        work: runs the command line with the words of a request, and returns its exit status.

    Raises:
        UserError: what comes is no request.
    """
    global _started, _digests  # noqa: PLW0603 - of the process
    _started = True
    with _own_streams() as (requests, responses, said):
        for line in requests:
            request = _request(line)
            _digests = request.digests
            status, is_usable = _done(work, request.words)
            response = {"exitCode": status, "output": _taken(said), "requestId": request.id}
            write_all(responses, json.dumps(response).encode() + b"\n")
            if not is_usable:
                return
            gc.collect()  # closes files that only cycles of objects refer to


def _request(line: bytes) -> _Request:
    try:
        value: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise UserError(f"standard input: is not a work request of Bazel in JSON: {error}") from error
    words = value.get("arguments", []) if isinstance(value, dict) else None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise UserError(
            "standard input: is not a work request of Bazel: it must be an object with a list of `arguments`"
        )
    number = value.get("requestId", 0)
    if number:
        raise UserError(f"standard input: has the request ID {number}; this worker does one request at a time")
    return _Request(words, number, _by_path(_digests_in(value.get("inputs", []))))


def _by_path(digests: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Returns the digests of inputs by their paths, and by those without the configuration, which a request has not."""
    found: dict[str, str] = {}
    mapped: dict[str, set[str]] = {}
    for path, digest in digests:
        found[path] = digest
        mapped.setdefault(_MAPPED + path.removeprefix(_BUILT).partition("/")[2], set()).add(digest)
    return {path: min(of) for path, of in mapped.items() if len(of) == 1} | found


def _digests_in(inputs: Any) -> Iterator[tuple[str, str]]:
    """Yields the path and the digest of each input that Bazel has built."""
    for each in inputs if isinstance(inputs, list) else []:
        path, digest = (each.get("path"), each.get("digest")) if isinstance(each, dict) else (None, None)
        if isinstance(path, str) and isinstance(digest, str) and path.startswith(_BUILT) and digest:
            yield path, digest


def _done(work: Callable[[Sequence[str]], int], words: Sequence[str]) -> tuple[int, bool]:
    """Does a request; returns its exit status, and whether the process can do another one."""
    try:
        return work(words), True
    except Exception:
        import traceback  # noqa: PLC0415 - takes time to load, and only a defect needs it

        traceback.print_exc()
        return _DEFECT, False


@contextlib.contextmanager
def _own_streams() -> Iterator[tuple[BinaryIO, int, int]]:
    """Keeps the streams to Bazel from the work.

    Gives the file of requests, the descriptor for responses, and that of a file which takes what the work prints.
    """
    kept = [os.dup(number) for number in range(3)]
    said = os.memfd_create("output")
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    for number, descriptor in enumerate((null, said, said)):
        os.dup2(descriptor, number)
    os.close(null)
    try:
        with open(kept[0], "rb", closefd=False) as requests:
            yield requests, kept[1], said
    finally:
        sys.stdout.flush()
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)
        os.close(said)


def _taken(said: int) -> str:
    """Returns what was printed, and empties the file of it."""
    sys.stdout.flush()
    sys.stderr.flush()
    size = os.lseek(said, 0, os.SEEK_END)
    text = os.pread(said, size, 0).decode(errors="backslashreplace")
    os.ftruncate(said, 0)
    os.lseek(said, 0, os.SEEK_SET)
    return text
