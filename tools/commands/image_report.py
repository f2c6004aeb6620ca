"""Reports what takes the space in an image: one HTML page that needs no other file and no scripts, and JSON.

An image is that of a disk or a file system, raw or in a plain tar, or an archive of several. The page has the sizes of
partitions, packages, folders and files, and how well they compress; files with special rights (setuid, setgid, writable
for all, capabilities); licenses, and where packages are from. With --layers it also has what each target of the build
brought, which splits the files that are in no package. With --before it has the differences to an earlier build.
Without --html and --json the largest parts are printed.

The keys of the JSON object are the attributes of `tools.report.usage.Usage`; image_budget_check and --before read it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from tools.core.cli import argument, run
from tools.core.json_spec import FileName, OutputName
from tools.core.outputs import replacing, write_all, write_to_stdout
from tools.core.text import escaped, human_size
from tools.report.known import known_packages
from tools.report.layers import read_layers
from tools.report.measure import measure
from tools.report.page import page
from tools.report.usage import Usage, read_usage
from tools.tar.image_file import open_images

_MOST = 15


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    image: FileName = argument("an image, or an archive of images", positional=True)
    sbom: tuple[FileName, ...] = argument(
        "a bill of materials of it (CycloneDX), which says where packages are from", default=()
    )
    layers: FileName | None = argument("a file of `image_layers`, about this image", default=None)
    before: FileName | None = argument("the JSON report on an earlier build, to compare it with", default=None)
    name: str | None = argument("name of the image in the report; default: that of the file", default=None)
    html: OutputName | None = argument("the page to write", default=None)
    json: OutputName | None = argument("the JSON report to write", default=None)


def main(arguments: Arguments) -> None:
    """Runs the command line."""
    before = None if arguments.before is None else read_usage(arguments.before)
    known = [package for path in arguments.sbom for package in known_packages(path)]
    name = arguments.name or os.path.basename(arguments.image)
    layers = None if arguments.layers is None else read_layers(arguments.layers)
    usage = measure(open_images(arguments.image), name, arguments.image, known, layers)
    if arguments.html is not None:
        _write(arguments.html, page(usage, before))
    if arguments.json is not None:
        _write(arguments.json, usage.to_json())
    if arguments.html is None and arguments.json is None:
        write_to_stdout(f"{escaped(line)}\n".encode() for line in _lines(usage))


def _write(path: str, content: str) -> None:
    with replacing(path) as fd:
        write_all(fd, content.encode())


def _lines(usage: Usage) -> Iterator[str]:
    """Yields the largest volumes, packages and files."""
    yield f"{usage.name}: {usage.data} bytes of data, {usage.compressed} compressed"
    rows = [(each.data, f"partition {each.name}") for each in usage.volumes if each.name]
    packages = sorted(usage.packages, key=lambda each: (-each.data, each.name))
    rows += [(each.data, f"package {each.name}" if each.name else "files in no package") for each in packages[:_MOST]]
    files = sorted(usage.files, key=lambda each: (-each.data, each.path))
    rows += [(each.data, each.path) for each in files[:_MOST]]
    for size, what in rows:
        yield f"{human_size(size):>6} {what}"


if __name__ == "__main__":
    run(main, Arguments, __doc__)
