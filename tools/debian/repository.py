"""Makes a folder of packages a repository, which apt and mmdebstrap read."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tools.debian.deb import Deb


def make_repository(debs: Sequence[Path], folder: Path) -> list[str]:
    """Copies packages into a folder and writes their index, `Packages`; returns the names of the packages.

    The form is a flat one, without a signature (https://wiki.debian.org/DebianRepository/Format).

    Args:
        debs: the package files, whose names differ.
        folder: an existing directory.

    Raises:
        UserError: a package can't be read.
    """
    names, stanzas = [], []
    for path in debs:
        shutil.copyfile(path, folder / path.name)
        with Deb(path) as deb:
            fields = deb.control()
        digest = sha256(path.read_bytes()).hexdigest()
        fields |= {"Filename": f"./{path.name}", "Size": str(path.stat().st_size), "SHA256": digest}
        stanzas.append("".join(f"{name}: {value}\n" for name, value in fields.items()))
        names.append(fields["Package"])
    (folder / "Packages").write_text("\n".join(stanzas))
    return names
