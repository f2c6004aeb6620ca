"""Replaces and prints the public SSH keys of an account, as the orchestrator asks for it.

The keys are in the config store, where sshd looks for them: a file for each account, which belongs to the account, and
which only the account and root can read.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Callable, Sequence

from guestos import durable, privilege
from guestos.errors import GuestError, UsageError

FOLDER = "/boot/config/accounts_ssh_authorized_keys"
PROVISIONED = ("backup", "readonly")
"""Accounts whose keys the orchestrator sets. Those of admin and root come from the bootstrap medium alone."""
READABLE = ("admin", "backup", "readonly")

_LARGEST = 1 << 20
_START_SSH = ("/usr/bin/systemctl", "--no-block", "start", "ssh.service")


def provision(account: str, keys: bytes, folder: str = FOLDER) -> bool:
    """Replaces the keys of an account.

    Args:
        account: name of the account.
        keys: lines of an authorized_keys file (sshd(8)); the last one needs no newline. Empty removes all keys.
        folder: directory with the files.

    Returns:
        Whether the account has keys now.

    Raises:
        GuestError: the keys are no text, there are too many, the account does not exist, or the file cannot be written.
    """
    if len(keys) > _LARGEST or b"\0" in keys:
        raise GuestError(f"the keys of {account} are not at most {_LARGEST} bytes of text; its keys are unchanged")
    path = os.path.join(folder, account)
    try:
        entry = pwd.getpwnam(account)
        os.makedirs(folder, mode=0o755, exist_ok=True)
        if not keys.strip():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            durable.sync_folder(folder)
            return False
    except KeyError as error:
        raise GuestError(f"account {account} does not exist") from error
    except OSError as error:
        raise GuestError(f"{path}: cannot be written: {error.strerror}") from error
    lines = keys if keys.endswith(b"\n") else keys + b"\n"
    durable.replace(path, lines, mode=0o600, owner=(entry.pw_uid, entry.pw_gid))
    return True


def read(account: str, folder: str = FOLDER) -> bytes:
    """Returns the keys of an account; empty if it has none.

    Raises:
        GuestError: the file cannot be read.
    """
    path = os.path.join(folder, account)
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise GuestError(f"{path}: cannot be read: {error.strerror}") from error


def provision_main(script: str) -> int:
    """Runs provision-ssh-keys.sh and returns the exit status; the keys are on standard input."""
    return _run(script, "Replaces the SSH keys of an account by those on stdin.", PROVISIONED, _provision_stdin)


def read_main(script: str) -> int:
    """Runs read-ssh-keys.sh and returns the exit status."""
    return _run(script, "Prints the SSH keys of an account.", READABLE, _print)


def _provision_stdin(account: str) -> None:
    keys = sys.stdin.buffer.read(_LARGEST + 1)
    # A machine that had no keys at boot has not started sshd.
    if provision(account, keys) and subprocess.run(_START_SSH, check=False).returncode != 0:
        raise GuestError("the keys are written, but ssh.service cannot be started; see its journal")


def _print(account: str) -> None:
    sys.stdout.buffer.write(read(account))
    sys.stdout.buffer.flush()


def _run(script: str, description: str, accounts: Sequence[str], action: Callable[[str], None]) -> int:
    name = os.path.basename(script)
    parser = argparse.ArgumentParser(prog=name, description=description, allow_abbrev=False)
    parser.add_argument("account", metavar="ACCOUNT", help=f"one of {', '.join(accounts)}")
    account = parser.parse_args().account
    try:
        if account not in accounts:
            raise UsageError(f"{account!r} is not one of {', '.join(accounts)}")
        privilege.become_root(script, [account])
        action(account)
    except GuestError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return error.status
    return 0
