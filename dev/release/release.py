"""Creates the files of a release: `bazel run //dev/release -- --output=FOLDER`.

They are the source archive, its checksum, release notes, the entry for the Bazel Central Registry (in modules/), and
the reference in the form that the registry shows. The sources are those of the last commit, and nothing else counts.
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

    output: FileName = argument("the directory to create", positional=True)
    checkout: FileName = argument("the checkout to release")
    url: str | None = argument(
        "URL at which the archive will be published; by default according to the templates in .bcr", default=None
    )
    docs: FileName | None = argument("an archive with the ModuleInfo of the public .bzl files", default=None)
    registry: FileName | None = argument(
        "a checkout of the registry for the release, whose list of versions is continued", default=None
    )


def release_files(
    folder: Path, url: str | None = None, registry: Path | None = None, docs: Path | None = None
) -> Mapping[str, bytes]:
    """Returns the contents of a release's files by path.

    Args:
        folder: the checkout.
        url: URL at which the archive will be published; by default according to the checkout's templates.
        registry: a checkout of the registry for the release.
        docs: an archive with the reference, which is published beside the sources.

    Raises:
        UserError: there are uncommitted changes, the changelog lacks the version, or it was already released.
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
    docs_name = f"{root}.docs.tar.gz"
    docs_url = f"{url.rpartition('/')[0]}/{docs_name}" if docs else None
    entry = f"modules/{module.name}"
    version = f"{entry}/{module.version}"
    return {
        name: archive,
        f"{name}.sha256": f"{sha256}  {name}\n".encode(),
        "release-notes.md": _filled(folder / "dev/release/release-notes.template.md", words).encode(),
        f"{entry}/metadata.json": metadata_json(templates, module, registry).encode(),
        f"{version}/MODULE.bazel": (folder / "MODULE.bazel").read_bytes(),
        f"{version}/presubmit.yml": (templates / PRESUBMIT).read_bytes(),
        f"{version}/source.json": source_json(url, archive, root, docs_url).encode(),
    } | ({docs_name: docs.read_bytes()} if docs else {})


def _filled(template: Path, words: Mapping[str, str]) -> str:
    return re.sub(r"\{([A-Z0-9]+)\}", lambda found: words[found[1]], template.read_text(encoding="utf-8"))


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """Creates a directory atomically: it is renamed to `path` if the block raises no exception, else removed.

    Raises:
        UserError: the path exists, or the directory can't be created.
    """
    if path.exists() or path.is_symlink():
        raise UserError(f"{path}: exists already; use another directory, or remove it")
    try:
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
    except OSError as error:
        raise UserError(f"{path}: cannot be created: {error.strerror}") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        temporary.rename(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def main(arguments: Arguments) -> None:
    """Creates the files of the release.

    Raises:
        UserError: the release is not possible; then nothing is written.
    """
    folder = Path(arguments.checkout)
    output = Path(arguments.output)
    with _new_folder(output) as temporary:
        registry, docs = (Path(path) if path else None for path in (arguments.registry, arguments.docs))
        files = release_files(folder, arguments.url, registry, docs)
        for path, content in files.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o644)
    if not read_object(folder / ".bcr" / METADATA).get("maintainers"):
        print(
            f"release: warning: .bcr/{METADATA}: has no maintainers; the registry requires one: "
            f'{{"github": "ACCOUNT", "github_user_id": NUMBER, "name": "NAME"}}',
            file=sys.stderr,
        )
    for path in files:
        print(output / path)


if __name__ == "__main__":
    run(main, Arguments, __doc__)
