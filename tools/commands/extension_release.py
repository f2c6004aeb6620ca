"""Writes the file that identifies an extension image for systemd, once the image's files are checked.

A sysext may only have files in /usr and /opt, a confext only in /etc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName
from tools.core.outputs import replacing, write_all
from tools.ddi.disk import systemd_architecture
from tools.ddi.extension import KINDS, check_tree, release_text
from tools.rootfs.assemble import assemble
from tools.rootfs.tree_spec import RootfsArguments


@dataclass(frozen=True, kw_only=True)
class Arguments(RootfsArguments):
    """Arguments of the command line."""

    kind: Literal["sysext", "confext"] = argument("what the image extends")
    label: str = argument("name of the image in messages", default="image")
    id: str = argument("ID of the system's os-release; _any for any system")
    version_id: str = argument("VERSION_ID of the system's os-release; any by default", default="")
    level: str = argument("SYSEXT_LEVEL or CONFEXT_LEVEL of the system's os-release; any by default", default="")
    architecture: str = argument("of the machines, as uname(1) names it; any by default", default="")
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    kind = KINDS[arguments.kind]
    root = assemble(arguments, arguments.label)
    try:
        check_tree(kind, root)
    except UserError as error:
        raise UserError(f"{arguments.label}: {error}") from error
    fields = {
        "ID": arguments.id,
        "VERSION_ID": arguments.version_id,
        kind.level: arguments.level,
        "ARCHITECTURE": systemd_architecture(arguments.architecture) if arguments.architecture else "",
    }
    with replacing(arguments.output) as fd:
        write_all(fd, release_text(fields).encode())


if __name__ == "__main__":
    run(main, Arguments, __doc__)
