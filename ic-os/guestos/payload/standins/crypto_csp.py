"""Takes the place of ic-crypto-csp: holds the key of the node, and serves its ID on the first of two Unix sockets."""

from __future__ import annotations

import hashlib
import os
import secrets
import signal
import stat
from collections.abc import Sequence
from pathlib import Path

from standins import NOTICE
from standins.activation import activated_sockets
from standins.config import read_config
from standins.problems import StandInError, parser, run, say
from standins.web import Server

PROGRAM = "ic-crypto-csp"
KEY = "stand_in_node_key"
_KEY_BYTES = 32


def check_crypto_root(path: Path) -> None:
    """Checks the folder of the keys: its owner has all rights, others none.

    Raises:
        StandInError: it is no folder, or its mode is wrong.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise StandInError(f"{path}: {error.strerror}") from error
    if not stat.S_ISDIR(mode) or mode & 0o700 != 0o700 or mode & 0o007:
        raise StandInError(
            f"{path}: wrong crypto root permissions: a folder with all rights for its owner and none for others "
            f"is needed, not mode {stat.filemode(mode)}"
        )


def node_id(crypto_root: Path) -> str:
    """Returns the node's ID, which is derived from its key. The first call generates the key.

    Raises:
        StandInError: the key cannot be read or written.
    """
    path = crypto_root / KEY
    try:
        if not path.exists():
            new = crypto_root / f"{KEY}.new"
            new.write_bytes(secrets.token_bytes(_KEY_BYTES))
            new.chmod(0o600)
            os.replace(new, path)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise StandInError(f"{path}: {error.strerror}") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Serves until a signal ends the process."""
    run(PROGRAM, lambda: _serve(arguments))


def _serve(arguments: Sequence[str] | None) -> int:
    flags = parser(PROGRAM, "Holds the keys of the node.")
    flags.add_argument("--replica-config-file", metavar="FILE", type=Path, required=True, help="ic.json5")
    options = flags.parse_args(arguments)
    requests, metrics = activated_sockets(f"{PROGRAM}.socket")
    root = read_config(options.replica_config_file).crypto_root
    check_crypto_root(root)
    node_id(root)
    Server(requests, lambda path: f"{node_id(root)}\n" if path == "/node-id" else None).start()
    Server(metrics, lambda path: "stand_in_crypto_up 1\n" if path == "/metrics" else None).start()
    say(PROGRAM, f"{NOTICE}; serves with the key in {root}")
    while True:
        signal.pause()
