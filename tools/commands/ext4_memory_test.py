"""Tests that the memory that ext4_image takes for a file is bounded."""

import os
import subprocess
import sys

from tools.tar import header
from tools.tar.member_header import member_header

FOLDERS, FILES = 100, 1000


def member(path, kind):
    return member_header(path, kind, mode=0o644, uid=0, gid=0, mtime_ns=0, size=0)


def peak_memory(*flags):
    """Returns the peak memory of ext4_image in MiB."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    command = [sys.executable, "-m", "tools.commands.ext4_image", *flags]
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss / 1024


def test_hundred_thousand_files(tmp_path):
    with (tmp_path / "root.tar").open("wb") as archive:
        for folder in range(FOLDERS):
            archive.write(member(b"folder-%d/" % folder, header.DIRECTORY))
            archive.writelines(member(b"folder-%d/file-%d" % (folder, name), header.REGULAR) for name in range(FILES))
        archive.write(bytes(header.archive_size(0)))
    flags = ["--size=4G", "--uuid=6b0ef1a1-4a05-4b0e-9a0c-2f6a0d3c1f5e", f"--output={tmp_path}/image.tar"]
    empty = peak_memory(*flags)
    assert peak_memory(*flags, f"--layer={tmp_path}/root.tar") - empty < 60
