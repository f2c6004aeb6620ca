"""Writes the pages of the reference into the checkout, by `bazel run`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tools.core.cli import argument, run
from tools.core.json_spec import FileName
from tools.core.outputs import replacing, write_all


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    built: FileName = argument("the folder with the pages as built")
    folder: FileName = argument("the folder of the pages in the checkout")


def main(arguments: Arguments) -> None:
    """Writes the pages, and removes those that are not built any more."""
    folder = Path(arguments.folder)
    pages = {page.name: page for page in Path(arguments.built).iterdir()}
    for name, page in pages.items():
        with replacing(folder / name) as fd:
            write_all(fd, page.read_bytes())
    for old in folder.glob("*.md"):
        if old.name not in pages:
            old.unlink()


if __name__ == "__main__":
    run(main, Arguments, __doc__)
