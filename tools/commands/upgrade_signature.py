"""Signs the manifest of an upgrade image.

Signatures that were made elsewhere, such as by a key that never leaves a hardware module, can be given along or
instead; each is checked against the public keys. These are what machines accept updates by, so if there are any, one
signature at least has to be by one of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName, OutputName
from tools.core.outputs import replacing, write_all
from tools.upgrade.signing import Signature, decode, encode, is_good, private_key_id, public_key_id, sign


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("the manifest to sign", positional=True)
    key: tuple[KeyName, ...] = argument("a private key of Ed25519 as PEM", default=())
    signature: tuple[FileName, ...] = argument("a file of signatures that were made elsewhere", default=())
    public_key: tuple[FileName, ...] = argument(
        "a key by which machines accept the image, or that checks signatures that were made elsewhere", default=()
    )
    refused_key: tuple[FileName, ...] = argument("a public key that must not sign, such as one for tests", default=())
    output: OutputName = argument("the file of signatures to write")


def signatures_of(arguments: Arguments) -> list[Signature]:
    """Returns the signatures in the order of the arguments.

    Raises:
        UserError: a key must not sign, a signature is not of the manifest, or none is by a public key that is given.
    """
    refused = {public_key_id(path): path for path in arguments.refused_key}
    for path in arguments.key:
        if (key_id := private_key_id(path)) in refused:
            raise UserError(f"{path}: must not sign this: it is the private half of {refused[key_id]}")
    signatures = [sign(arguments.manifest, path) for path in arguments.key]
    for path in arguments.signature:
        for signature in decode(path):
            if signature.key_id in refused:
                raise UserError(f"{path}: has a signature by {refused[signature.key_id]}, which must not sign this")
            if not any(is_good(arguments.manifest, signature, key) for key in arguments.public_key):
                raise UserError(f"{path}: has a signature of {arguments.manifest} that none of the public keys accepts")
            signatures.append(signature)
    _check_accepted(arguments, signatures)
    return signatures


def _check_accepted(arguments: Arguments, signatures: list[Signature]) -> None:
    """Raises a `UserError` if there are public keys, and no signature is by one of them."""
    accepted = {public_key_id(path) for path in arguments.public_key}
    if arguments.key and accepted and not any(signature.key_id in accepted for signature in signatures):
        raise UserError(
            f"{', '.join(arguments.key)}: signs an image that no machine accepts: it is not the private half of "
            f"{', '.join(arguments.public_key)}; sign with the private half of one of these, or add the public half of "
            f"{arguments.key[0]} to them: `openssl pkey -in {arguments.key[0]} -pubout` prints it"
        )


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    data = encode(signatures_of(arguments))
    if not data:
        raise UserError("there is nothing to sign with: give --key or --signature")
    with replacing(arguments.output) as fd:
        write_all(fd, data)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
