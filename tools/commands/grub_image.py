"""Builds the boot loader GRUB with its configuration as one program for UEFI, without a signature.

With --certificate it opens only files that are signed by the key of that certificate; `grub_signature` signs them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName
from tools.debian.extract import choose
from tools.grub.distribution import read_distribution
from tools.grub.openpgp import public_key
from tools.grub.program import grub_program
from tools.image.rawfile import write_raw
from tools.pe.authenticode import read_certificate


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    deb: tuple[FileName, ...] = argument("a package with files of GRUB for x86_64-efi", positional=True)
    config: tuple[FileName, ...] = argument("a part of grub.cfg; they are executed one after the other")
    module: tuple[str, ...] = argument("a module that the configuration uses")
    certificate: FileName | None = argument("certificate of the key that signs files, as PEM", default=None)
    sbat: tuple[FileName, ...] = argument("a file with lines of SBAT", default=())
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    key = public_key(read_certificate(arguments.certificate).key) if arguments.certificate else None
    grub = read_distribution(choose([Path(deb) for deb in arguments.deb], ()))
    configuration, sbat = (b"\n".join(map(_read, paths)) for paths in (arguments.config, arguments.sbat))
    write_raw(grub_program(grub, arguments.module, configuration, sbat, key), arguments.output)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
