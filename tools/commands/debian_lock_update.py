"""Makes or refreshes the lock of a manifest: `bazel run` it, look at the difference, and commit it."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

from tools.core.errors import UserError
from tools.core.outputs import replacing, write_all
from tools.debian.apt import Access, resolve
from tools.debian.manifest import Manifest, read_manifest

_MANIFEST = flags.DEFINE_string("manifest", None, "The manifest, relative to the workspace.", required=True)
_LOCK = flags.DEFINE_string("lock", None, "The lock to write, relative to the workspace.", required=True)
_MIRROR = flags.DEFINE_multi_string(
    "mirror", [], "ARCHIVE=URL: a mirror to ask this time instead of the archive's first; the lock doesn't name it."
)
_CHECK_VALID_UNTIL = flags.DEFINE_bool(
    "check_valid_until", True, "Refuse package lists that are past their date; off for a mirror that stands still."
)


def _mirrors(manifest: Manifest, values: Sequence[str]) -> dict[str, str]:
    mirrors = {}
    for value in values:
        name, separator, url = value.partition("=")
        if not separator or name not in manifest.archives:
            known = ", ".join(manifest.archives)
            raise UserError(f"--mirror={value}: must be ARCHIVE=URL with an archive of the manifest: {known}")
        mirrors[name] = url.rstrip("/")
    return mirrors


def run(argv: Sequence[str]) -> int:
    """Runs the command line; returns its exit status."""
    workspace = Path(os.environ.get("BUILD_WORKSPACE_DIRECTORY", ""))
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument: {argv[1]}")
        path = workspace / _MANIFEST.value
        manifest = read_manifest(path)
        access = Access(
            keyrings=path.parent,
            mirrors=_mirrors(manifest, _MIRROR.value),
            check_valid_until=_CHECK_VALID_UNTIL.value,
        )
        with tempfile.TemporaryDirectory() as scratch:
            text = resolve(manifest, access, Path(scratch)).to_json()
        with replacing(workspace / _LOCK.value) as file:
            write_all(file, text.encode())
    except UserError as error:
        print(f"debian_lock_update: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    app.run(run)
