"""Opens block devices of the kernel as images."""

import os

from tools.image.rawfile import open_raw
from tools.testing.oracles import ask, unavailable


def test_a_loop_device_is_read(tmp_path):
    path = tmp_path / "image"
    path.write_bytes(bytes(8192) + b"data".ljust(4096, b"."))
    if os.geteuid() != 0 or not os.path.exists("/dev/loop-control"):
        unavailable("it needs root and loop devices")
    device = ask("losetup", "--find", "--show", "--read-only", path).strip()
    try:
        image = open_raw(device)
        assert (image.size, image.read(8192, 5)) == (12288, b"data.")
    finally:
        ask("losetup", "--detach", device)
