"""Adds signatures of PCR 11 to a unified kernel image, or writes what is signed, so that it can be signed elsewhere.

What is sealed to the public key by a TPM 2, such as the key of a disk, opens under images with such signatures alone.
The image has the public key already; `unified_kernel_image` with --pcr_public_key puts it there.

With --to_sign_output and one --phase the output is the digest of a policy, which a private key signs by
RSASSA-PKCS1-v1_5 with SHA-256:

    openssl dgst -sha256 -sign KEY.pem -out SIGNATURE TO_SIGN

With --key, or --signature once for each --phase in the same order, it is the image with these signatures, in the
section `.pcrsig`. Sign for Secure Boot after that.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, KeyName, OutputName
from tools.core.outputs import replacing, write_all
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.pe.headers import PeFile, read_pe
from tools.pe.measurement import DEFAULT_PHASES, normal_phases
from tools.pe.pcr_policy import policy_digests, section_key, sign, with_signatures
from tools.pe.rsa_keys import read_private_key, read_signature


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    file: FileName = argument("the unified kernel image", positional=True)
    phase: tuple[str, ...] = argument(
        "a phase of the boot in which sealed keys open, such as enter-initrd; `:` is that before any phase",
        default=DEFAULT_PHASES,
    )
    key: KeyName | None = argument("a private key of RSA as PEM", default=None)
    signature: tuple[FileName, ...] = argument("a signature that was made elsewhere", default=())
    output: OutputName | None = argument("the image to write", default=None)
    to_sign_output: OutputName | None = argument("the file to write with what is signed for a phase", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if arguments.output is None and arguments.to_sign_output is None:
        raise UserError("there is nothing to write: give --output or --to_sign_output")
    file = read_pe(Image.from_file(arguments.file), arguments.file)
    phases = normal_phases(arguments.phase)
    if arguments.to_sign_output is not None:
        _write_to_sign(arguments.to_sign_output, file, phases)
    if arguments.output is not None:
        write_raw(with_signatures(file, _signatures(arguments, file, phases)), arguments.output)


def _write_to_sign(output: str, file: PeFile, phases: list[str]) -> None:
    if len(phases) != 1:
        raise UserError(f"--phase: --to_sign_output is for one phase, and there are {len(phases)}; give one")
    (digest,) = policy_digests(file, phases).values()
    with replacing(output) as fd:
        write_all(fd, digest)


def _signatures(arguments: Arguments, file: PeFile, phases: list[str]) -> dict[str, bytes]:
    """Returns the signatures by their phases."""
    if (arguments.key is None) != bool(arguments.signature):
        raise UserError("--key, --signature: give one of them, not both or none")
    if arguments.key is not None:
        key = read_private_key(arguments.key, section_key(file), f"the public key in {file.name}")
        return {phase: sign(digest, key) for phase, digest in policy_digests(file, phases).items()}
    if len(arguments.signature) != len(phases):
        raise UserError(f"--signature: there are {len(phases)} phases and {len(arguments.signature)} signatures")
    return {phase: read_signature(path) for phase, path in zip(phases, arguments.signature, strict=True)}


if __name__ == "__main__":
    run(main, Arguments, __doc__)
