"""The check of one file system, by the tool of those who made its format. The image is in the environment."""

import os
import subprocess

from tools.core.errors import UserError
from tools.ext4.reader import read_ext4
from tools.image.rawfile import write_raw
from tools.inspect.volumes import open_partition
from tools.testing.oracles import oracle


def _is_ext4(image):
    try:
        read_ext4(image)
    except UserError:
        return False
    return True


def test_file_system_is_sound(tmp_path):
    image = open_partition(os.environ["IMAGE"], os.environ["PARTITION"] or None)
    command = [oracle("e2fsck"), "-fn"] if _is_ext4(image) else [oracle("fsck.fat"), "-n"]
    raw = tmp_path / "image"
    write_raw(image, raw)
    result = subprocess.run([*command, raw], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
