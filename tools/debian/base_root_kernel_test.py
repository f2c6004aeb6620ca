"""Compares the base root with that of mmdebstrap from the same packages; needs root."""

import hashlib
import os
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.debian.base_root import BaseRoot, build_base_root
from tools.debian.deb import Deb
from tools.debian.repository import make_repository
from tools.testing.debian_packages import given_packages
from tools.testing.oracles import oracle, unavailable

_OTHERWISE = (
    "./boot",
    "./dev/",  # device nodes, which the guest's kernel creates
    "./etc/apt",  # of mmdebstrap's own apt
    "./etc/fstab",
    "./etc/hostname",
    "./etc/resolv.conf",
    "./var/cache/apt",
    "./var/cache/debconf",
    "./var/lib/apt",
    "./var/lib/dpkg/status",  # the order of packages
    "./var/log/apt",
)
"""Paths that mmdebstrap sets up for itself or leaves behind; all others are compared."""

_LEFT = ("-", "-old", "/lock", "/lock-frontend", "/Lock", ".pwd.lock", "aux-cache")
"""Suffixes of backups and locks that mmdebstrap leaves behind."""


def listing(path: Path) -> Mapping[str, tuple[object, ...]]:
    """Returns the compared properties by path."""
    found = {}
    with tarfile.open(path) as archive:
        for entry in archive:
            name = entry.name if entry.name.startswith(".") else f"./{entry.name}"
            content = archive.extractfile(entry) if entry.isreg() else None
            digest = hashlib.sha256(content.read()).hexdigest() if content else ""
            if not name.startswith(_OTHERWISE) and not name.endswith(_LEFT):
                found[name] = (entry.type, oct(entry.mode), entry.uid, entry.gid, entry.linkname, digest)
    return found


def test_same_as_mmdebstrap(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        unavailable("this needs root: run it as root, outside of a sandbox")
    debs, installer = given_packages("PACKAGES"), given_packages("INSTALLER")
    pool = tmp_path / "pool"
    pool.mkdir()
    names = make_repository(debs, pool)
    spec = BaseRoot(debs, installer)
    build_base_root(spec, tmp_path / "ours.tar")
    command = [oracle("mmdebstrap"), "--variant=custom", "--mode=root", f"--include={','.join(names)}"]
    source = f"deb [trusted=yes] copy:{pool} ./"
    environment = os.environ | {
        "SOURCE_DATE_EPOCH": str(max(Deb(path).built for path in debs)),
        "TMPDIR": str(tmp_path),
    }
    done = subprocess.run(
        [*command, "", tmp_path / "theirs.tar", source], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.fail(done.stderr)
    ours = listing(tmp_path / "ours.tar")
    assert len(ours) > 1000
    assert ours == listing(tmp_path / "theirs.tar")
