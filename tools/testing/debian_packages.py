"""Packages for tests: those that dpkg-deb makes, and locked ones."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.testing.oracles import oracle, unavailable

BUILT = 1_600_000_000
"""When the packages are built, in seconds since the epoch."""


def build_deb(
    folder: Path,
    name: str,
    root: Path | None = None,
    *,
    compression: str = "xz",
    fields: Mapping[str, str] | None = None,
) -> Path:
    """Has dpkg-deb build a package.

    Args:
        folder: where to put it.
        name: of the package.
        root: the files of the package, to which the control file is added; none without.
        compression: of both members, as dpkg-deb's option -Z takes it.
        fields: of the control file, in place of or besides those of an example.

    Returns:
        The package file.
    """
    root = root or folder / f"{name}.root"
    (root / "DEBIAN").mkdir(parents=True, exist_ok=True)
    control = {"Package": name, "Version": "1.0", "Architecture": "all", "Maintainer": "A <a@example.org>"}
    control |= {"Description": "for tests"} | dict(fields or {})
    (root / "DEBIAN/control").write_text("".join(f"{key}: {value}\n" for key, value in control.items()))
    deb = folder / f"{name}_{control['Version']}_{control['Architecture']}.deb"
    command = [oracle("dpkg-deb"), "--root-owner-group", "--uniform-compression", f"-Z{compression}", "--build"]
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(BUILT)}
    subprocess.run([*command, root, deb], env=environment, check=True, capture_output=True)
    return deb


def replace_data(deb: Path, member: str, data: bytes) -> None:
    """Gives a package other data than dpkg-deb would write; `member` is its name, such as data.tar.zst."""
    content = deb.read_bytes()
    header = f"{member:16}{BUILT:<12}{0:<6}{0:<6}{'100644':8}{len(data):<10}`\n".encode()
    deb.write_bytes(content[: content.index(b"data.tar")] + header + data + b"\n" * (len(data) % 2))


def given_packages(variable: str) -> list[Path]:
    """Returns the files that the BUILD file names in a variable, or skips the calling test."""
    if variable not in os.environ:
        unavailable("the packages are missing: run this with `bazel test`")
    return [Path(path) for path in os.environ[variable].split()]
