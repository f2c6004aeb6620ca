"""What is on the bootstrap medium of a machine that launch_local_vm starts."""

from __future__ import annotations

from pathlib import Path

from guestos.bootstrap import ACCOUNT_KEYS

from guestos_tools.bootstrap_media import content_of_folder, read_account_keys
from tools.core.errors import UserError
from tools.image.extents import Image
from tools.tree.node import Directory, File

_ACCOUNTS = ("admin", "root")
"""The accounts that the key of --ssh_key may log in to."""


def configuration(config_dir: str | None, ssh_key: str | None) -> Directory:
    """Returns the content of the archive on a bootstrap medium.

    Args:
        config_dir: directory with members of the archive; None for none.
        ssh_key: file of public SSH keys that are added to those of root and admin; None for none.

    Raises:
        UserError: a file cannot be read or is invalid; the message names the option.
    """
    option = "--config_dir"
    try:
        root = Directory() if config_dir is None else content_of_folder(config_dir)
        option = "--ssh_key"
        if ssh_key is not None:
            _add_keys(root, read_account_keys(Path(ssh_key)))
    except OSError as error:
        raise UserError(f"{option}: {error.filename}: cannot be read: {error.strerror}") from error
    except UserError as error:
        raise UserError(f"{option}: {error}") from error
    return root


def _add_keys(root: Directory, keys: str) -> None:
    if not keys.strip():
        raise UserError("the file has no key")
    accounts = root.entries.setdefault(ACCOUNT_KEYS.encode(), Directory())
    assert isinstance(accounts, Directory)
    for account in _ACCOUNTS:
        known = accounts.entries.get(account.encode())
        before = known.content.read(0, known.content.size) if isinstance(known, File) else b""
        separator = b"\n" if before and not bytes(before).endswith(b"\n") else b""
        accounts.entries[account.encode()] = File(content=Image.from_bytes(bytes(before) + separator + keys.encode()))
