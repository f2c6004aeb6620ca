"""The credentials of a server: a random token for each start, which only the user who starts it can read.

Other users of the machine reach the loopback interface, too. Without the token a server answers none of them.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tools.core.outputs import replacing, write_all

_USER = "bazel"
_TOKEN_BYTES = 32
_SALT_BYTES = 16
TOKEN_FILE = "ICOS_REMOTE_TOKEN_FILE"
"""The environment variable that names the file with the token to BuildGrid."""

BAZELRC = "bazelrc"
"""Name of the file with the flags for Bazel."""


@dataclass(frozen=True, repr=False)
class Credentials:
    """What a client of a server has to know.

    Attributes:
        token: random characters.
        folder: directory for the files below; only the user of this process may read them.
    """

    token: str
    folder: Path

    @classmethod
    def new(cls, folder: Path) -> Credentials:
        """Returns new credentials."""
        return cls(secrets.token_urlsafe(_TOKEN_BYTES), folder)

    def token_file(self) -> Path:
        """Writes a file with the token, and returns its path."""
        return write_secret(self.folder / "token", self.token)

    def password_file(self) -> Path:
        """Writes a file with a salted hash of the token, as nginx has them, and returns its path.

        See https://nginx.org/en/docs/http/ngx_http_auth_basic_module.html, {SSHA}. A hash that is quick to compute
        suffices, since the token has 256 random bits.
        """
        salt = secrets.token_bytes(_SALT_BYTES)
        digest = hashlib.sha1(self.token.encode() + salt).digest()
        return write_secret(self.folder / "passwords", f"{_USER}:{{SSHA}}{base64.b64encode(digest + salt).decode()}\n")

    @property
    def bearer(self) -> str:
        """The value of the header `authorization` for gRPC."""
        return f"Bearer {self.token}"

    @property
    def basic(self) -> str:
        """The value of the header `authorization` for HTTP."""
        return f"Basic {base64.b64encode(f'{_USER}:{self.token}'.encode()).decode()}"


def write_secret(path: Path, text: str) -> Path:
    """Writes a file with mode 0600, and returns its path."""
    with replacing(path, secret=True) as fd:
        write_all(fd, text.encode())
    return path


@contextmanager
def bazelrc(folder: Path, flags: Sequence[str]) -> Iterator[Path]:
    """Writes a file with flags for `bazel build` and its heirs, which is removed at the end of the block.

    Flags on a command line would be no secret: every user can read those of all processes, proc_pid_cmdline(5). And
    after the server has ended, nobody should send its token to what may listen at the port by then.
    """
    path = write_secret(folder / BAZELRC, "".join(f'build "{flag}"\n' for flag in flags))
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
