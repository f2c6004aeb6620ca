"""Checks a file system with e2fsck, fsck.erofs, fsck.fat or unsquashfs.

The environment variables IMAGE and PARTITION name it.
"""

import os
import subprocess

from tools.image.rawfile import write_raw
from tools.inspect.volumes import kind_of, open_partition
from tools.testing.oracles import oracle

CHECKERS = {
    "ext4": ("e2fsck", "-fn"),
    "EROFS": ("fsck.erofs",),
    "FAT": ("fsck.fat", "-n"),
    "SquashFS": ("unsquashfs", "-no-progress", "-lls"),  # reads all metadata
}
FAULT = "<E> erofs: "  # fsck.erofs 1.5 exits with 0 after some of them


def test_file_system_is_sound(tmp_path):
    image = open_partition(os.environ["IMAGE"], os.environ["PARTITION"] or None)
    kind = kind_of(image)
    assert kind is not None, "there is no file system: neither EROFS, ext4, FAT nor SquashFS"
    program, *flags = CHECKERS[kind]
    raw = tmp_path / "image"
    write_raw(image, raw)
    result = subprocess.run([oracle(program), *flags, raw], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert FAULT not in result.stdout + result.stderr
