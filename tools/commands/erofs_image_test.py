import json
import os
import tarfile

import pytest

from tools.commands.erofs_image import Arguments, main
from tools.core.cli import call
from tools.erofs.reader import read_erofs
from tools.tar.image_file import open_image
from tools.testing.oracles import ask
from tools.testing.surroundings import other_surroundings
from tools.tree.compare import differences
from tools.tree.metadata import set_times
from tools.tree.node import File, walk
from tools.tree.tar_reader import read_archive

UUID = "8f0c2d4e-5a61-4b7c-9d8e-0f1a2b3c4d5e"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with an archive and a file of labels; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/su").write_bytes(b"su" * 5000)
    (tmp_path / "tree/usr/bin/su").chmod(0o4755)
    (tmp_path / "tree/boot").mkdir()
    (tmp_path / "tree/boot/vmlinuz").write_bytes(b"kernel")
    os.symlink("usr/bin", "tree/bin")
    os.link("tree/usr/bin/su", "tree/usr/bin/same")
    ask("tar", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "-C", "tree", "-cf", "base.tar", ".")
    (tmp_path / "contexts").write_text("/.* u:r:file\n/ u:r:root\n/boot(/.*)? u:r:boot\n")
    return tmp_path


def build(*flags, output="root.img.tar"):
    return call(main, Arguments, "", ["erofs_image", f"--output={output}", f"--uuid={UUID}", *flags])


def tree(path="root.img.tar"):
    return read_erofs(open_image(path)).root


def test_a_tar_with_the_image():
    assert build("--layer=base.tar", "--mtime=1700000000", "--label=root") == 0
    expected = read_archive("base.tar").root
    set_times(expected, 1700000000 * 10**9)
    assert list(differences(expected, tree())) == []
    assert ask("tar", "-tf", "root.img.tar") == "root.img\n"
    ask("tar", "-xf", "root.img.tar")
    assert "<E>" not in ask("fsck.erofs", "root.img")
    assert f"{UUID}\n" in ask("dump.erofs", "-s", "root.img")
    assert os.path.getsize("root.img") == 4 * 4096


def test_a_raw_image_from_a_specification(folder):
    spec = {
        "layers": [
            {"archive": "base.tar"},
            {"label": "//:files", "entries": [{"path": "etc/version", "source": "tree/boot/vmlinuz", "mode": "0600"}]},
        ],
        "strip_paths": ["/boot/*"],
        "size": "64M",
        "raw": True,
        "output": "root.img",
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    assert call(main, Arguments, "", ["erofs_image", "--spec=spec.json", f"--uuid={UUID}"]) == 0
    assert "<E>" not in ask("fsck.erofs", "root.img")
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


def test_the_same_bytes_whatever_surrounds_it(folder):
    assert build("--layer=base.tar") == 0
    with other_surroundings(folder) as other:
        assert build("--layer=base.tar", "--member=root.img", output="other/x.tar") == 0
    assert (folder / "root.img.tar").read_bytes() == (other / "x.tar").read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer=none.tar"], "none.tar: cannot be read"),
        (["--layer=base.tar", "--size=4K"], "root.img: erofs: the tree does not fit in 4096 bytes"),
        (
            ["--layer=base.tar", "--size=4K", "--size_attribute=//app:disk: a_size"],
            "error: //app:disk: a_size: erofs: the tree does not fit in 4096 bytes; set it to at least ",
        ),
        (["--layer=base.tar", "--size=5000"], "size 5000 is not a positive multiple of 4096"),
        (["--layer=base.tar", "--strip_paths=/none"], "/none: does not exist"),
        (["--layer=base.tar", "--uuid=x"], "uuid: 'x' is not a UUID"),
        (["--layer=base.tar", "--label=1234567890123456"], "label"),
        (["--layer=base.tar", "--output=none/x.tar"], "none/x.tar: cannot be written"),
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
