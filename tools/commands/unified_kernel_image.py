"""Builds a unified kernel image: one PE file with the kernel, its initramfs and its command line.

The output has no signature; `secure_boot_signature` adds one, and `pcr_signature`, before that, those of PCR 11.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.commands.boot_args import arguments_of
from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.pe.rsa_keys import public_key, read_file
from tools.pe.uki import Parts, unified_kernel_image


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    stub: FileName = argument("systemd's stub, linuxx64.efi.stub")
    kernel: FileName = argument("the kernel")
    initrd: FileName = argument("the initramfs")
    os_release: FileName = argument("an os-release file, which names the system")
    input: tuple[FileName, ...] = argument("a file with arguments of the kernel command line", default=())
    word: tuple[str, ...] = argument("an argument to add", default=())
    root_hash_file: FileName | None = argument(
        "file with the root hash of the root partition's hash tree", default=None
    )
    root_hash_argument: str = argument("the argument that hands the root hash over", default="verity.root_hash")
    min_stub_version: int = argument("the lowest version of systemd that the stub may be of; 0 takes any", default=0)
    sbat: tuple[FileName, ...] = argument("a file with lines of SBAT, in addition to those of the stub", default=())
    pcr_public_key: FileName | None = argument("a public key of RSA as PEM, for `pcr_signature`", default=None)
    output: OutputName = argument("the file to write")


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    words = arguments_of(
        arguments.input, arguments.word, arguments.root_hash_file, root_hash_argument=arguments.root_hash_argument
    )
    pcr_key = arguments.pcr_public_key
    image = unified_kernel_image(
        Parts(
            stub=Image.from_file(arguments.stub),
            kernel=Image.from_file(arguments.kernel),
            initrd=Image.from_file(arguments.initrd),
            os_release=Image.from_file(arguments.os_release),
            words=words,
            sbat=b"\n".join(read_file(path) for path in arguments.sbat),
            min_stub_version=arguments.min_stub_version,
            pcr_public_key=None if pcr_key is None else public_key(read_file(pcr_key), pcr_key),
        )
    )
    write_raw(image, arguments.output)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
