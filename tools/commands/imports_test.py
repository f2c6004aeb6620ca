"""Tests that the commands of a build import nothing that takes long to start and that they don't need."""

import os
import subprocess
import sys

import pytest

EXPENSIVE = {
    "absl",
    "asyncio",
    "concurrent.futures",
    "cryptography",
    "ctypes",
    "deflate",
    "difflib",
    "email",
    "google_crc32c",
    "http",
    "multiprocessing",
    "passlib",
    "secrets",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tarfile",
    "unittest",
    "urllib.request",
    "zstandard",
}
COMPRESSION = {"concurrent.futures", "deflate", "zstandard"}
NEEDED = {
    "boot_args": set(),
    "compress": {"concurrent.futures"},
    "disk_image": {"concurrent.futures"},
    "erofs_image": {"google_crc32c"},
    "ext4_image": {"google_crc32c"},
    "initramfs": {"zstandard"},
    "raw_disk": set(),
    "raw_partition": set(),
    "sbom": set(),
    "sha256": {"concurrent.futures"},
    "squashfs_image": COMPRESSION,
    "swap_image": set(),
    "upgrade_image": {"concurrent.futures"},
    "upgrade_manifest": {"concurrent.futures"},
    "upgrade_signature": {"cryptography"},
    "verity_image": set(),
    "vfat_image": set(),
}


@pytest.mark.parametrize("command", NEEDED)
def test_command_imports_what_it_needs(command):
    program = f"import sys, tools.commands.{command}; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert EXPENSIVE & set(done.stdout.split()) == NEEDED[command]
