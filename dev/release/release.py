"""Makes what a release consists of: `bazel run //dev/release -- --output=FOLDER`.

Into FOLDER come the archive of the sources, its checksum, notes for the release's page, and below modules/ the entry
for the Bazel Central Registry. Sources are those of the last commit; the same commit gives the same bytes everywhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev.release.checkout import Checkout
from dev.release.module import read_changes, read_module
from dev.release.registry import METADATA, PRESUBMIT, integrity, metadata_json, published_url, source_json
from dev.release.source_archive import source_archive
from tools.core.cli import argument, run
from tools.core.errors import UserError
from tools.core.json_spec import FileName, read_object


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of the command line."""

    output: FileName = argument("the folder to make", positional=True)
    checkout: FileName = argument("the checkout to release")
    url: str | None = argument(
        "where the archive will be published; default: as the templates in .bcr say", default=None
    )
    registry: FileName | None = argument(
        "a checkout of the registry that the release is meant for, whose list of versions is continued", default=None
    )


def release_files(folder: Path, url: str | None = None, registry: Path | None = None) -> Mapping[str, bytes]:
    """Returns the files of a release by their paths.

    Args:
        folder: the checkout.
        url: where the archive will be published; by default, as the checkout's templates say.
        registry: a checkout of the registry that the release is meant for.

    Raises:
        UserError: not all is committed, the version has no section in the changelog, or was released before.
    """
    checkout = Checkout(folder)
    checkout.check_clean()
    module = read_module(folder / "MODULE.bazel")
    changes = read_changes(folder / "CHANGELOG.md", module.version)
    root = f"{module.name}-{module.version}"
    name = f"{root}.tar.gz"
    templates = folder / ".bcr"
    url = published_url(templates, module) if url is None else url
    archive = source_archive(checkout.files(), root)
    sha256 = hashlib.sha256(archive).hexdigest()
    words = {
        "CHANGES": changes,
        "FOLDER": root,
        "INTEGRITY": integrity(archive),
        "NAME": module.name,
        "SHA256": sha256,
        "URL": url,
        "VERSION": module.version,
    }
    entry = f"modules/{module.name}"
    version = f"{entry}/{module.version}"
    return {
        name: archive,
        f"{name}.sha256": f"{sha256}  {name}\n".encode(),
        "release-notes.md": _filled(folder / "dev/release/release-notes.template.md", words).encode(),
        f"{entry}/metadata.json": metadata_json(templates, module, registry).encode(),
        f"{version}/MODULE.bazel": (folder / "MODULE.bazel").read_bytes(),
        f"{version}/presubmit.yml": (templates / PRESUBMIT).read_bytes(),
        f"{version}/source.json": source_json(url, archive, root).encode(),
    }


def _filled(template: Path, words: Mapping[str, str]) -> str:
    return re.sub(r"\{([A-Z0-9]+)\}", lambda found: words[found[1]], template.read_text(encoding="utf-8"))


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Gives a folder that gets its name when the block ends without an exception; else nothing is left of it.

    Raises:
        UserError: there is something of that name, or there can be no such folder.
    """
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: is there already; say another folder, or remove it")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path}: cannot be made: {error.strerror}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main(arguments: Arguments) -> None:
    """Makes the release.

    Raises:
        UserError: it can't be made; nothing is written.
    """
    folder = Path(arguments.checkout)
    output = Path(arguments.output)
    with _new_folder(output) as temporary:
        files = release_files(folder, arguments.url, Path(arguments.registry) if arguments.registry else None)
        for path, content in files.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o644)
    if not read_object(folder / ".bcr" / METADATA).get("maintainers"):
        print(
            f"release: warning: .bcr/{METADATA}: names no maintainers; the central registry wants one", file=sys.stderr
        )
    for path in files:
        print(output / path)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
