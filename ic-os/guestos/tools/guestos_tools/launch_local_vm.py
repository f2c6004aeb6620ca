"""Boots a GuestOS disk image in QEMU, with the machine's console on the terminal; Ctrl-A X ends it.

--ssh_key and --config_dir configure the machine by a bootstrap medium, so that `ssh -p 2222 root@localhost` works as
soon as it is up. The image is not changed: what the machine writes is discarded at its end, or kept in the directory of
--keep.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from tools.commands import vm_launcher
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName
from tools.image.rawfile import write_raw


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
    from guestos_tools.bootstrap_media import medium  # noqa: PLC0415 - a machine without a medium starts earlier
    from guestos_tools.launch_medium import configuration  # noqa: PLC0415 - as above

    with tempfile.TemporaryDirectory(prefix="bootstrap-medium-") as folder:
        path = Path(folder, "medium.img")
        write_raw(medium(configuration(arguments.config_dir, arguments.ssh_key)), path, secret=True)
        vm_launcher.main(dataclasses.replace(arguments, medium=str(path)))


if __name__ == "__main__":
    run(main, Arguments, __doc__)
