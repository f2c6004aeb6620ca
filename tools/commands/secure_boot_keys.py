"""Writes what enrolls the keys of Secure Boot in firmware, so that it trusts a product's certificates alone.

PK.auth, KEK.auth and db.auth are signed variables, for firmware in setup mode and for tools that change its keys. With
--ovmf_template the output also has the variable store of a virtual machine, with these keys and Secure Boot enabled.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName, OutputName
from tools.core.outputs import replacing, write_all
from tools.pe.authenticode import Signer, read_certificate
from tools.pe.rsa_keys import read_file
from tools.uefi.keys import VENDORS, Variable, authenticated, key_variable
from tools.uefi.variable_store import store_with_keys


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    pk_certificate: FileName = argument("the certificate that owns the machine, as PEM")
    pk_key: KeyName | None = argument("its private key, as PEM; signs PK and KEK", default=None)
    kek_certificate: FileName = argument("the certificate whose key changes db later, as PEM")
    kek_key: KeyName | None = argument("its private key, as PEM; signs db", default=None)
    db_certificate: tuple[FileName, ...] = argument("a certificate whose signatures firmware accepts, as PEM")
    owner: str = argument("GUID of who enrolls the keys")
    ovmf_template: FileName | None = argument("an empty variable store of OVMF", default=None)
    pk_output: OutputName | None = argument("PK.auth to write", default=None)
    kek_output: OutputName | None = argument("KEK.auth to write", default=None)
    db_output: OutputName | None = argument("db.auth to write", default=None)
    ovmf_output: OutputName | None = argument("the variable store to write", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    signers = {
        "PK": [read_certificate(arguments.pk_certificate)],
        "KEK": [read_certificate(arguments.kek_certificate)],
        "db": [read_certificate(path) for path in arguments.db_certificate],
    }
    time = max(_start(each) for list_ in signers.values() for each in list_)
    variables = [key_variable(name, signers[name], _owner(arguments.owner), time) for name in VENDORS]
    outputs = dict(zip(VENDORS, (arguments.pk_output, arguments.kek_output, arguments.db_output), strict=True))
    if not any(outputs.values()) and arguments.ovmf_output is None:
        raise UserError("there is nothing to write: give --pk_output, --kek_output, --db_output or --ovmf_output")
    for variable in variables:
        if output := outputs[variable.name]:
            by, key = ("KEK", arguments.kek_key) if variable.name == "db" else ("PK", arguments.pk_key)
            if key is None:
                raise UserError(f"--{by.lower()}_key: is missing; it signs {output}")
            _write(output, authenticated(variable, signers[by][0], key))
    if arguments.ovmf_output is not None:
        _write_store(arguments, variables, arguments.ovmf_output)


def _write_store(arguments: Arguments, variables: list[Variable], output: str) -> None:
    if arguments.ovmf_template is None:
        raise UserError("--ovmf_template: is missing; --ovmf_output is a copy of it with the keys")
    template = read_file(arguments.ovmf_template)
    _write(output, store_with_keys(template, variables, arguments.ovmf_template))


def _start(signer: Signer) -> dt.datetime:
    """Returns since when a certificate is valid; the variables have that time stamp, which needs no clock."""
    return signer.certificate.not_valid_before_utc


def _owner(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise UserError(f"--owner: {text!r} is not a GUID") from error


def _write(path: str, data: bytes) -> None:
    with replacing(path) as fd:
        write_all(fd, data)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
