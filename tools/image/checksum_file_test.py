import errno
import hashlib
import os
from pathlib import Path

import pytest

from tools.core import worker
from tools.image.checksum_file import ATTRIBUTE, checksum_beside, digest_for_bazel

BAZELRC = Path(__file__).parents[2] / ".bazelrc"


@pytest.fixture
def attributes(monkeypatch):
    """What is set as attributes, by path and name; the file system of the test may have none."""
    found = {}
    monkeypatch.setattr(os, "setxattr", lambda path, name, value: found.update({(path, name): value}))
    return found


def write(path, context):
    with context as digest:
        Path(path).write_bytes(b"content")
        if digest is not None:
            digest.add(0, b"content")


@pytest.mark.parametrize("context", [digest_for_bazel, lambda path: checksum_beside(path, True)])
def test_attribute_of_an_output_of_a_worker(tmp_path, monkeypatch, attributes, context):
    path = str(tmp_path / "file")
    write(path, context(path))
    assert attributes == {}
    monkeypatch.setattr(worker, "_started", True)
    write(path, context(path))
    assert attributes == {(path, ATTRIBUTE): hashlib.sha256(b"content").digest()}


def test_file_system_without_attributes(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", unsupported)
    monkeypatch.setattr(worker, "_started", True)
    path = str(tmp_path / "file")
    write(path, checksum_beside(path, True))
    assert Path(f"{path}.sha256").read_text() == f"{hashlib.sha256(b'content').hexdigest()}  file\n"


def test_bazel_reads_the_attribute():
    assert f"startup --unix_digest_hash_attribute_name={ATTRIBUTE}\n" in BAZELRC.read_text()
