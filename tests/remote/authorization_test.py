"""Tests that the servers of gRPC answer only who has the credentials of their start; curl plays the client."""

import re
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote.server import Server, server
from tools.testing.oracles import oracle

REMOTE = "build.bazel.remote.execution.v2"
HASH = "ab" * 32
OK, UNAUTHENTICATED = 0, 16  # https://grpc.io/docs/guides/status-codes/


def field(number: int, value: bytes) -> bytes:
    """Returns a field of a message in protobuf's wire format."""
    return bytes([number << 3 | 2, len(value)]) + value


DIGEST = field(1, HASH.encode()) + b"\x10\x01"
CALLS = {
    f"{REMOTE}.Capabilities/GetCapabilities": b"",
    f"{REMOTE}.ContentAddressableStorage/FindMissingBlobs": field(2, DIGEST),
    f"{REMOTE}.ContentAddressableStorage/BatchUpdateBlobs": field(2, field(1, DIGEST) + field(2, b"x")),
    f"{REMOTE}.ContentAddressableStorage/BatchReadBlobs": field(2, DIGEST),
    f"{REMOTE}.ContentAddressableStorage/GetTree": field(2, DIGEST),
    f"{REMOTE}.ActionCache/GetActionResult": field(2, DIGEST),
    f"{REMOTE}.ActionCache/UpdateActionResult": field(2, DIGEST) + field(3, b""),
    "google.bytestream.ByteStream/Read": field(1, f"blobs/{HASH}/1".encode()),
    "google.bytestream.ByteStream/Write": field(1, f"uploads/a/blobs/{HASH}/1".encode()) + field(10, b"x"),
    "grpc.health.v1.Health/Check": b"",
    f"{REMOTE}.Execution/Execute": field(6, DIGEST),
    f"{REMOTE}.Execution/WaitExecution": field(1, b"a"),
    "google.devtools.remoteworkers.v1test2.Bots/CreateBotSession": field(2, b""),
    "google.longrunning.Operations/ListOperations": b"",
}
"""A request for each method; those of BuildGrid's cache and of its execution."""


@pytest.fixture(scope="module", params=["grpc-cache", "execution"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(request.param, tmp_path_factory.mktemp("store")) as made:
        yield made


def flag(made: Server, name: str) -> str:
    (found,) = [each.split("=", 1)[1] for each in made.flags if each.startswith(f"--{name}=")]
    return found


def call(made: Server, method: str, *headers: str) -> int:
    """Calls a method, and returns its status."""
    scheme = "remote_executor" if any("remote_executor" in each for each in made.flags) else "remote_cache"
    url = f"http://{flag(made, scheme).removeprefix('grpc://')}/{method}"
    command = [oracle("curl"), "-sS", "--http2-prior-knowledge", "--max-time", "20"]
    command += ["--dump-header", "-", "--output", "/dev/null"]
    for header in ("content-type: application/grpc", "te: trailers", *headers):
        command += ["-H", header]
    request = CALLS.get(method, b"")
    message = b"\0" + struct.pack(">I", len(request)) + request
    done = subprocess.run([*command, "--data-binary", "@-", url], input=message, capture_output=True, check=False)
    (status,) = re.findall(rb"^grpc-status: ([0-9]+)\r$", done.stdout, re.MULTILINE)
    return int(status)


def right_header(made: Server) -> str:
    name, value = flag(made, "remote_header").split("=", 1)
    return f"{name}: {value}"


@pytest.mark.parametrize("method", CALLS)
def test_no_call_without_credentials(running: Server, method: str) -> None:
    right = right_header(running)
    implemented = call(running, method, right)
    assert implemented != UNAUTHENTICATED
    wrong = ((), ("authorization: Bearer x",), (right[:-1],), (right.replace("Bearer", "Basic"),), (right, right))
    for headers in wrong:
        before = refusals(running, method)
        assert call(running, method, *headers) == (UNAUTHENTICATED if implemented != 12 else 12), headers
        assert implemented == 12 or refusals(running, method) == before + 1


def refusals(made: Server, method: str) -> int:
    log = (made.folder / "logs/buildgrid.log").read_text()
    line = rf"^refused: '/{re.escape(method)}' of ipv4:127\.0\.0\.1:[0-9]+: (?:no|wrong) credentials$"
    return len(re.findall(line, log, re.MULTILINE))


def test_calls_that_are_answered(running: Server) -> None:
    """Those above are not refused for another reason."""
    right = right_header(running)
    for method in ("Capabilities/GetCapabilities", "ContentAddressableStorage/FindMissingBlobs"):
        assert call(running, f"{REMOTE}.{method}", right) == OK
    assert call(running, "grpc.health.v1.Health/Check", right) == OK


def test_no_method_is_forgotten(running: Server) -> None:
    """The execution has all of the methods above, the cache all but those of the execution."""
    executes = any("remote_executor" in each for each in running.flags)
    missing = {method for method in CALLS if call(running, method, right_header(running)) == 12}
    assert {method.split("/")[0].rpartition(".")[2] for method in missing} == (
        set() if executes else {"Execution", "Bots", "Operations"}
    )


def test_token_is_secret(running: Server) -> None:
    token = right_header(running).rpartition(" ")[2]
    assert re.fullmatch(r"[\w-]{43}", token, re.ASCII)
    for path in (running.folder / "token", Path(running.bazelrc.removeprefix("--bazelrc="))):
        assert token in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for pid in {running.process.pid, *running.children().values()}:
        assert token.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
