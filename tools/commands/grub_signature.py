"""Signs a file for the boot loader GRUB, or writes what is signed, so that it can be signed elsewhere.

The output is to be NAME.sig beside the file NAME on the machine's disk. With --to_sign_output the output is the data
that a private key signs, by RSASSA-PKCS1-v1_5 with SHA-256:

    openssl dgst -sha256 -sign KEY.pem -out SIGNATURE TO_SIGN
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName, OutputName
from tools.core.outputs import replacing, write_all
from tools.grub.openpgp import detached_signature, sign, to_sign
from tools.image.extents import Image
from tools.pe.authenticode import read_certificate
from tools.pe.rsa_keys import read_private_key, read_signature


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    file: FileName = argument("the file to sign", positional=True)
    key: KeyName | None = argument("a private key of RSA as PEM", default=None)
    signature: FileName | None = argument("a signature that was made elsewhere", default=None)
    certificate: FileName | None = argument("the certificate of the key, as PEM", default=None)
    output: OutputName | None = argument("the signature to write", default=None)
    to_sign_output: OutputName | None = argument("the file to write with what is signed", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    file = Image.from_file(arguments.file)
    if arguments.output is None and arguments.to_sign_output is None:
        raise UserError("there is nothing to write: give --output or --to_sign_output")
    if arguments.to_sign_output is not None:
        with replacing(arguments.to_sign_output) as fd:
            for part in to_sign(file):
                write_all(fd, part)
    if arguments.output is not None:
        signature = _signature(arguments, file)
        with replacing(arguments.output) as fd:
            write_all(fd, signature)


def _signature(arguments: Arguments, file: Image) -> bytes:
    if (arguments.key is None) == (arguments.signature is None):
        raise UserError("--key, --signature: give one of them, not both or none")
    if arguments.certificate is None:
        raise UserError("--certificate: is missing; it has the public key")
    signer = read_certificate(arguments.certificate)
    if arguments.key is not None:
        signature = sign(file, read_private_key(arguments.key, signer.key, signer.path))
    else:
        signature = read_signature(arguments.signature or "")
    return detached_signature(file, signature, signer.key, arguments.file)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
