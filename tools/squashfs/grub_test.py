"""GRUB reads file systems that are compressed with gzip."""

import random

from tools.squashfs.options import SquashfsOptions
from tools.squashfs.writer import write_squashfs
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.testing.squashfs_images import BLOCK, file
from tools.tree.node import Directory, Symlink


def test_grub_reads_gzip(tmp_path):
    content = random.Random(1).randbytes(5 * BLOCK) + b"text" * 9000
    names = [f"{number:04}{'x' * (number % 100)}".encode() for number in range(1000)]
    tree = Directory(
        entries={
            b"boot": Directory(entries={b"large": file(content), b"small": file(b"small"), b"empty": file(b"")}),
            b"link": Symlink(target=b"boot/small"),
            b"many": Directory(entries={name: file(name) for name in names}),
        }
    )
    image = write_raw(write_squashfs(tree, SquashfsOptions(compression="gzip", block_size=BLOCK)), tmp_path / "image")
    assert sorted(ask("grub-fstest", image, "ls", "(loop0)/many/").split()) == [name.decode() for name in names]
    for path, data in (("boot/large", content), ("link", b"small"), (f"many/{names[777].decode()}", names[777])):
        (tmp_path / "expected").write_bytes(data)
        assert ask("grub-fstest", image, "cmp", f"(loop0)/{path}", tmp_path / "expected") == ""
