"""The command line of BuildGrid, whose server answers only calls with a token."""

import functools
import os
import sys
from pathlib import Path

import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]
from buildgrid.server.app import cli  # type: ignore[import-not-found]

from dev.remote.authorization import Authorization
from dev.remote.credentials import TOKEN_FILE


def main() -> None:
    """Runs the command line; servers of gRPC get an interceptor, since BuildGrid itself does not check all services."""
    if TOKEN_FILE in os.environ:
        check = Authorization(Path(os.environ[TOKEN_FILE]).read_text(encoding="ascii"))
        grpc.server = functools.partial(grpc.server, interceptors=(check,))
    elif sys.argv[1:2] == ["server"]:
        sys.exit(f"error: {TOKEN_FILE}: must name the file with the token")
    cli()


if __name__ == "__main__":
    main()
