"""Puts an upgrade image together: a tar of the manifest, its signature, the images and the version.

The manifest comes first, so that a machine knows what it gets before it gets it; `upgrade_manifest` makes it. The
images are sparse members.
"""

from __future__ import annotations

from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, OutputName, read_spec
from tools.image.extents import Image
from tools.tar.artifacts import Artifact, Outputs, member_of, write_archive
from tools.tar.sparse_archive import Member, archive_of
from tools.upgrade.manifest import MANIFEST_NAME, SIGNATURE_NAME, VERSION_NAME, Manifest, check


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """An image, by the manifest's name for it, and the parts that it is made of."""

    name: str
    parts: tuple[Artifact, ...]


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    manifest: FileName = argument("the manifest")
    signature: FileName | None = argument("the manifest's signature", default=None)
    images: tuple[ImageSpec, ...] = argument(
        'the images, as [{"name": "root.img", "parts": [{"image": …, "sources": […], "offset": …, "zst": …, "gz": …}]'
        "}]: the tar of an image (or a raw file, or a recipe with its sources), where it stands, and its data "
        "compressed by `compress --data`"
    )
    output_tar: OutputName | None = argument("the tar to write", default=None)
    output_zst: OutputName | None = argument("the tar to write, compressed as zstd", default=None)
    output_gz: OutputName | None = argument("the tar to write, compressed as gzip", default=None)
    sha256: bool = argument(
        "whether each output gets its SHA-256 beside it, in a file with .sha256 after its name, for sha256sum --check",
        default=False,
    )


def members_of(arguments: Arguments) -> list[Member]:
    """Returns the members of the upgrade image.

    Raises:
        UserError: the manifest is wrong, or isn't one of these images.
    """
    manifest = read_spec(arguments.manifest, Manifest)
    check(manifest)
    names = [image.name for image in manifest.images]
    if names != [image.name for image in arguments.images]:
        given = ", ".join(image.name for image in arguments.images)
        raise UserError(f"{arguments.manifest}: is for the images {', '.join(names)}, and given are {given}")
    members = [Member.of(MANIFEST_NAME, Image.from_file(arguments.manifest))]
    if arguments.signature is not None:
        members.append(Member.of(SIGNATURE_NAME, Image.from_file(arguments.signature)))
    for entry, spec in zip(manifest.images, arguments.images, strict=True):
        member = member_of(spec.name, spec.parts)
        if member.size != entry.size:
            raise UserError(f"{arguments.manifest}: is for a {entry.name} of {entry.size} bytes, not of {member.size}")
        members.append(member)
    members.append(Member.of(VERSION_NAME, Image.from_bytes(f"{manifest.version}\n".encode())))
    return members


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    outputs = Outputs(tar=arguments.output_tar, zst=arguments.output_zst, gz=arguments.output_gz)
    if outputs == Outputs():
        raise UserError("there is nothing to write: give one of --output_tar, --output_zst, --output_gz")
    write_archive(archive_of(members_of(arguments)), outputs, arguments.sha256)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
