"""Boot loaders for tests: programs with a signature that nothing verifies, and EFI system partitions with them."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path

from tools.fat.reader import read_fat
from tools.fat.writer import Options, fat_image
from tools.gpt.reader import read_table
from tools.image.extents import Image
from tools.image.rawfile import open_raw, write_data, write_raw
from tools.pe.headers import read_pe
from tools.testing.own_keys import signed_program
from tools.testing.pe_files import pe_file
from tools.tree.node import Directory, File, walk

SIZE = 4 << 20
"""The size of a partition in bytes."""

_CERTIFICATES = 0x80 + 24 + 144
"""The offset of the directory of certificates in the programs of `pe_file`."""


def program(seed: str, sbat: str = "sbat,1\ngrub,5\n", levels: bytes | None = None) -> bytes:
    """Returns a program for UEFI, with a certificate table.

    Args:
        seed: what makes it another program.
        sbat: its SBAT; without any there is no such section.
        levels: its section `.sbatlevel`, which shim has.
    """
    sections = [(".text", b"\xc3" + seed.encode())]
    sections += [(".sbat", sbat.encode())] if sbat else []
    data = bytearray(pe_file(sections))
    if levels is not None:
        # A name of more than eight bytes is in the table of strings, behind the symbols.
        data = bytearray(pe_file([*sections, ("/4", levels)]))
        struct.pack_into("<II", data, 0x80 + 12, len(data), 0)
        data += struct.pack("<I", 15) + b".sbatlevel\0"
        data += bytes(-len(data) % 8)
    certificate = b"signature of " + seed.encode()
    certificate += bytes(-len(certificate) % 8)
    struct.pack_into("<II", data, _CERTIFICATES, len(data), len(certificate))
    return bytes(data) + certificate


def own_loader(seed: str, sbat: str = "sbat,1\ngrub,5\n") -> dict[str, bytes]:
    """Returns the files of a boot loader in own-key mode."""
    return {"BOOT/BOOTX64.EFI": program(seed, sbat)}


def distribution_loader(seed: str, shim: bytes | None = None, grub: bytes | None = None) -> dict[str, bytes]:
    """Returns the files of the distribution's boot loader, with its configuration."""
    return {
        "BOOT/BOOTX64.EFI": shim or program(f"shim {seed}", "sbat,1\nshim,4\n"),
        "BOOT/grubx64.efi": grub or program(f"grub {seed}"),
        "debian/grub.cfg": f"# {seed}\n".encode(),
    }


def in_capitals(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns files by their short names."""
    return {path.upper(): data for path, data in files.items()}


def tree(files: Mapping[str, bytes]) -> Directory:
    """Returns a tree of files, by their paths."""
    root = Directory()
    for path, data in files.items():
        *folders, name = path.split("/")
        folder = root
        for each in folders:
            below = folder.entries.setdefault(each.encode(), Directory())
            assert isinstance(below, Directory)
            folder = below
        folder.entries[name.encode()] = File(content=Image.from_bytes(data))
    return root


def write_partition(path: Path, files: Mapping[str, bytes]) -> Path:
    """Writes a FAT16 file system with files, by their paths, to a partition."""
    write_raw(fat_image(tree(files), Options(size=SIZE, volume_id=1, label="ESP", bits=16, cluster_size=512)), path)
    return path


def read_partition(path: Path) -> dict[str, bytes]:
    """Returns the files of a partition by their paths in capitals."""
    found = {}
    for name, node in walk(read_fat(open_raw(path), str(path)).root):
        if isinstance(node, File):
            found[name.decode().upper()] = bytes(node.content.read(0, node.content.size))
    return found


def below(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Returns files at paths below a directory."""
    return {f"{folder}/{path}": data for path, data in files.items()}


def bring(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes the files of a boot loader to a directory, as a boot partition has them."""
    for path, data in files.items():
        place = folder / "esp/EFI" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)


def changed_message(files: Mapping[str, bytes], keys: tuple[Path, Path] | None) -> dict[str, bytes]:
    """Returns a boot loader that says "Starting SLOT A" in place of "Starting slot A".

    Args:
        files: those of a real one.
        keys: private key and certificate that sign it; None if the message is in a file without a signature.
    """
    found = {path: data.replace(b'"Starting slot ', b'"Starting SLOT ') for path, data in files.items()}
    if keys is None:
        return found
    image = signed_program(Image.from_bytes(without_signature(found["BOOT/BOOTX64.EFI"])), *keys)
    return {"BOOT/BOOTX64.EFI": bytes(image.read(0, image.size))}


def without_signature(program: bytes) -> bytes:
    """Returns a program for UEFI as it is before it is signed."""
    file = read_pe(Image.from_bytes(program), "program")
    place, (end, _) = file.certificate_directory, file.certificates
    return program[:place] + bytes(8) + program[place + 8 : end]


def files_of(partition: Image) -> dict[str, bytes]:
    """Returns the files of a boot loader on an EFI system partition, by their paths below EFI as they are written."""
    found = {}
    for path, node in walk(read_fat(partition, "esp").root):
        if isinstance(node, File) and path.startswith(b"EFI/"):
            found[path.decode().removeprefix("EFI/")] = bytes(node.content.read(0, node.content.size))
    return found


def system_partition(files: Mapping[str, bytes], size: int) -> Image:
    """Returns an EFI system partition with the files of a boot loader, by their paths below EFI."""
    return fat_image(tree(below("EFI", files)), Options(size=size, volume_id=1, label="ESP"))


def put_loader(disk: Path, files: Mapping[str, bytes]) -> None:
    """Writes a boot loader to the EFI system partition of a disk."""
    (entry,) = (each for each in read_table(open_raw(disk)).entries if each.name == "esp")
    image = system_partition(files, entry.size)
    with open(disk, "r+b") as file:
        write_data(image, file.fileno(), entry.offset)
