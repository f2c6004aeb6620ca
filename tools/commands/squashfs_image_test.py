import json
import os
import tarfile

import pytest

from tools.commands.squashfs_image import Arguments, main
from tools.core.cli import call
from tools.squashfs.reader import read_squashfs
from tools.tar.image_file import open_image
from tools.testing.oracles import ask
from tools.testing.surroundings import other_surroundings
from tools.tree.compare import differences
from tools.tree.metadata import set_times
from tools.tree.node import File, walk
from tools.tree.tar_reader import read_archive


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with an archive and a file of labels; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/su").write_bytes(b"su" * 500_000)
    (tmp_path / "tree/usr/bin/su").chmod(0o4755)
    (tmp_path / "tree/boot").mkdir()
    (tmp_path / "tree/boot/vmlinuz").write_bytes(b"kernel")
    os.symlink("usr/bin", "tree/bin")
    os.link("tree/usr/bin/su", "tree/usr/bin/same")
    ask("tar", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "-C", "tree", "-cf", "base.tar", ".")
    (tmp_path / "contexts").write_text("/.* u:r:file\n/ u:r:root\n/boot(/.*)? u:r:boot\n")
    return tmp_path


def build(*flags, output="root.img.tar"):
    return call(main, Arguments, "", ["squashfs_image", f"--output={output}", *flags])


def tree(path="root.img.tar"):
    return read_squashfs(open_image(path)).root


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_a_tar_with_the_image(compression):
    assert build("--layer=base.tar", "--mtime=1700000000", f"--compression={compression}") == 0
    expected = read_archive("base.tar").root
    set_times(expected, 1700000000 * 10**9)
    assert list(differences(expected, tree())) == []
    assert ask("tar", "-tf", "root.img.tar") == "root.img\n"
    ask("tar", "-xf", "root.img.tar")
    ask("unsquashfs", "-no-progress", "-d", "out", "root.img")
    assert (os.stat("out/usr/bin/su").st_nlink, os.path.getsize("out/usr/bin/su")) == (2, 1_000_000)
    assert (os.path.getsize("root.img") < 10_000) == (compression != "none")


def test_a_raw_image_from_a_specification(folder):
    spec = {
        "layers": [
            {"archive": "base.tar"},
            {"label": "//:files", "entries": [{"path": "etc/version", "source": "tree/boot/vmlinuz", "mode": "0600"}]},
        ],
        "strip_paths": ["/boot/*"],
        "block_size": "1M",
        "level": 3,
        "size": "64M",
        "raw": True,
        "output": "root.img",
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    assert call(main, Arguments, "", ["squashfs_image", "--spec=spec.json"]) == 0
    assert "Block size 1048576\n" in ask("unsquashfs", "-s", "root.img")
    assert os.path.getsize("root.img") == 64 << 20
    assert os.stat("root.img").st_blocks * 512 <= 1 << 20
    nodes = dict(walk(tree("root.img")))
    files = {path for path, node in nodes.items() if isinstance(node, File)}
    assert files == {b"etc/version", b"usr/bin/same", b"usr/bin/su"}
    assert nodes[b"usr/bin/su"] is nodes[b"usr/bin/same"]
    assert nodes[b"usr/bin/su"].permissions == 0o4755


def test_labels_of_a_boot_partition():
    assert build("--layer=base.tar", "--subdir=boot", "--file_contexts=contexts", "--raw", output="boot.img") == 0
    root = tree("boot.img")
    for node in (root, root.entries[b"vmlinuz"]):
        assert node.xattrs == {b"security.selinux": b"u:r:boot\0"}


def test_the_same_bytes_whatever_surrounds_it(folder, monkeypatch):
    assert build("--layer=base.tar") == 0
    monkeypatch.setattr("tools.core.parallel.default_threads", lambda: 1)
    with other_surroundings(folder) as other:
        assert build("--layer=base.tar", "--member=root.img", output="other/x.tar") == 0
    assert (folder / "root.img.tar").read_bytes() == (other / "x.tar").read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer=none.tar"], "none.tar: cannot be read"),
        (["--layer=base.tar", "--compression=none", "--size=8K"], "root.img: squashfs: the tree does not fit in 8192 "),
        (
            ["--layer=base.tar", "--compression=none", "--size=8K", "--size_attribute=//app:disk: a_size"],
            "error: //app:disk: a_size: squashfs: the tree does not fit in 8192 bytes; set it to at least ",
        ),
        (["--layer=base.tar", "--size=5000"], "size 5000 is not a positive multiple of 4096"),
        (["--layer=base.tar", "--level=30"], "level 30 cannot be; for zstd it can be from 1 to 22"),
        (["--layer=base.tar", "--block_size=3K"], "block size 3072 is no power of 2 from 4096 to 1048576"),
        (["--layer=base.tar", "--compression=lz4"], "compression"),
        (["--layer=base.tar", "--strip_paths=/none"], "/none: does not exist"),
        (["--layer=base.tar", "--output=none/x.tar"], "none: cannot hold a temporary file: No such file or directory"),
    ],
)
def test_errors_take_one_line_and_leave_nothing(capfd, flags, message):
    before = set(os.listdir())
    assert build(*flags) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert set(os.listdir()) == before


def test_what_cannot_be_stored_is_named_with_its_archive(capfd):
    with tarfile.open("other.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("pipe")
        info.type, info.pax_headers = tarfile.FIFOTYPE, {"SCHILY.xattr.other.x": "1"}
        archive.addfile(info)
    assert build("--layer=other.tar") == 2
    assert "/pipe (from other.tar): extended attribute 'other.x' has a name" in capfd.readouterr().err


def test_an_error_of_the_tree_names_the_image_once(folder, capsys):
    assert build("--strip_paths=/none") == 2
    said = "error: root.img: strip_paths: /none: does not exist; correct the path, or leave it out\n"
    assert capsys.readouterr().err == said
