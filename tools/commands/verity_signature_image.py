"""Makes a verity signature partition: the root hash of a dm-verity hash tree and its signature, for systemd.

The output is a tar whose one member is the partition; with --raw it is the partition itself. With --to_sign_output the
output is what a private key signs, by RSASSA-PKCS1-v1_5 with SHA-256, so that it can be signed elsewhere:

    openssl dgst -sha256 -sign KEY.pem -out SIGNATURE TO_SIGN
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName, OutputName, Size
from tools.core.outputs import replacing, write_all
from tools.ddi.signature import pkcs7_signature, read_root_hash, signature_partition, to_sign
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.pe.authenticode import read_certificate, sign
from tools.pe.rsa_keys import read_signature
from tools.tar.sparse_archive import Member, archive_of


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    root_hash_file: FileName = argument("file with the root hash, in hexadecimal digits")
    key: KeyName | None = argument("a private key of RSA as PEM", default=None)
    signature: FileName | None = argument("a signature that was made elsewhere", default=None)
    certificate: FileName | None = argument("the certificate of the key, as PEM", default=None)
    size: Size = argument("size of the partition, a multiple of 4096 bytes; 16K by default", default=16 << 10)
    size_attribute: str = argument("what sets the size, for messages", default="--size")
    output: OutputName | None = argument("the tar to write", default=None)
    member: str | None = argument("name of the image in the output; by default the output's without .tar", default=None)
    raw: bool = argument("write the image itself, instead of a tar with it", default=False)
    to_sign_output: OutputName | None = argument("the file to write with what is signed", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    root_hash = read_root_hash(arguments.root_hash_file)
    if arguments.output is None and arguments.to_sign_output is None:
        raise UserError("there is nothing to write: give --output or --to_sign_output")
    if arguments.to_sign_output is not None:
        with replacing(arguments.to_sign_output) as fd:
            write_all(fd, to_sign(root_hash))
    if arguments.output is None:
        return
    image = _partition(arguments, root_hash)
    name = arguments.member or os.path.basename(arguments.output).removesuffix(".tar")
    write_raw(image if arguments.raw else archive_of([Member.of(name, image)]).image, arguments.output)


def _partition(arguments: Arguments, root_hash: str) -> Image:
    if (arguments.key is None) == (arguments.signature is None):
        raise UserError("--key, --signature: give one of them, not both or none")
    if arguments.certificate is None:
        raise UserError("--certificate: is missing; the signature is verified with it")
    signer = read_certificate(arguments.certificate)
    if arguments.key is not None:
        signature = sign(to_sign(root_hash), arguments.key, signer)
    else:
        signature = read_signature(arguments.signature or "")
    message = pkcs7_signature(root_hash, signature, signer)
    try:
        return signature_partition(root_hash, message, signer, arguments.size)
    except UserError as error:
        raise UserError(f"{arguments.size_attribute}: {error}") from error


if __name__ == "__main__":
    run(main, Arguments, __doc__)
