"""Boots a GuestOS disk image in QEMU, with the machine's console on the terminal; Ctrl-A X ends it.

--ssh_key and --config_dir configure the machine by a bootstrap medium, so that `ssh -p 2222 root@localhost` works as
soon as it is up. The image is not changed: what the machine writes is discarded at its end, or kept in the directory of
--keep.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from guestos.bootstrap import ACCOUNT_KEYS

from guestos_tools.bootstrap_media import content_of_folder, medium, read_account_keys
from tools.commands import vm_launcher
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.tree.node import Directory, File

_ACCOUNTS = ("admin", "root")
"""The accounts that the key of --ssh_key may log in to."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arguments(vm_launcher.Arguments):
    """What the command line takes."""

    config_dir: FileName | None = argument(
        "directory with the members of a bootstrap medium's archive, such as network.conf, nns.conf or "
        "accounts_ssh_authorized_keys/admin",
        default=None,
    )
    http_target: int = argument("port of the machine that this is; 7070 is the orchestrator's", default=7070)
    ssh_key: FileName | None = argument("file of public SSH keys that may log in as root and admin", default=None)


def main(arguments: Arguments) -> None:
    """Builds the bootstrap medium that the arguments describe, if any, and runs the machine until it ends."""
    if arguments.config_dir is None and arguments.ssh_key is None:
        vm_launcher.main(arguments)
        return
    if arguments.medium is not None:
        raise UserError("--medium: cannot be combined with --config_dir or --ssh_key, which build a medium")
    with tempfile.TemporaryDirectory(prefix="bootstrap-medium-") as folder:
        path = Path(folder, "medium.img")
        write_raw(medium(configuration(arguments.config_dir, arguments.ssh_key)), path, secret=True)
        vm_launcher.main(dataclasses.replace(arguments, medium=str(path)))


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


if __name__ == "__main__":
    run(main, Arguments, __doc__)
