"""Writes an image in another form: as a raw file, as a tar, plain or compressed, or as a list of its files.

The form follows from the output's suffix: .raw for a file with holes, .tar, .tar.zst, .tar.gz, or .mtree for a list in
the form of mtree(5) with digests of contents.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import OutputName
from tools.core.outputs import replacing, write_all
from tools.core.progress import progress
from tools.image.rawfile import write_raw
from tools.inspect.volumes import is_disk, read_tree
from tools.tar.artifacts import Artifact, Outputs, open_parts, write_archive
from tools.tar.sparse_archive import Member, archive_of
from tools.tree.mtree import mtree


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    parts: tuple[Artifact, ...] = argument(
        'the image: [{"image": …, "sources": […], "offset": …, "zst": …, "gz": …}], each a tar with one image (or a '
        "raw file, or a recipe with its sources), where it stands (0), and its data compressed by `compress --data`"
    )
    output: OutputName = argument("the file to write")
    member: str | None = argument("name of the image in a tar; by default the output's, without suffix", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    if not arguments.parts:
        raise UserError("--parts: is empty; give at least one image")
    parts = open_parts(arguments.parts, "image")
    suffix, write = next((pair for pair in _FORMS.items() if arguments.output.endswith(pair[0])), ("", None))
    if write is None:
        raise UserError(f"--output: {arguments.output} must end in one of {', '.join(_FORMS)}")
    name = arguments.member or os.path.basename(arguments.output).removesuffix(suffix)
    write(Member(name, max(part.offset + part.image.size for part in parts), parts), arguments.output)


def _write_raw(member: Member, output: str) -> None:
    with progress(f"writing {output}", member.image.data_size) as tell:
        write_raw(member.image, output, tell)


def _write_tar(form: str, member: Member, output: str) -> None:
    write_archive(archive_of([member]), Outputs(**{form: output}))


def _write_mtree(member: Member, output: str) -> None:
    image = member.image
    if is_disk(image):
        raise UserError(f"{member.name}: is a disk; list its partitions one by one, by image_ls --partition")
    with replacing(output) as fd:
        for line in mtree(read_tree(image, member.name)):
            write_all(fd, f"{line}\n".encode())


_FORMS: dict[str, Callable[[Member, str], None]] = {
    ".raw": _write_raw,
    ".tar": functools.partial(_write_tar, "tar"),
    ".tar.zst": functools.partial(_write_tar, "zst"),
    ".tar.gz": functools.partial(_write_tar, "gz"),
    ".mtree": _write_mtree,
}


if __name__ == "__main__":
    run(main, Arguments, __doc__)
