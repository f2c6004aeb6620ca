import json
import os
import tarfile

import pytest

from tools.commands.ext4_image import Arguments, main
from tools.core.cli import call
from tools.ext4.reader import read_ext4
from tools.image.compare import first_difference
from tools.pieces.piece_digests import digests_of, read_piece_digests
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
    """A folder with two archives and a file of labels; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree/usr/bin").mkdir(parents=True)
    (tmp_path / "tree/usr/bin/su").write_bytes(b"su" * 5000)
    (tmp_path / "tree/usr/bin/su").chmod(0o4755)
    (tmp_path / "tree/boot").mkdir()
    (tmp_path / "tree/boot/vmlinuz").write_bytes(b"kernel")
    os.symlink("usr/bin", "tree/bin")
    os.link("tree/usr/bin/su", "tree/usr/bin/same")
    ask("tar", "--numeric-owner", "--owner=0", "--group=0", "--sort=name", "-C", "tree", "-cf", "base.tar", ".")
    with tarfile.open("package.tar", "w") as archive:
        archive.add("tree/boot/vmlinuz", "bin/tool", filter=owned)
    (tmp_path / "contexts").write_text("/.* u:r:file\n/ u:r:root\n/boot(/.*)? u:r:boot\n/boot/lost\\+found u:r:lost\n")
    return tmp_path


def owned(info):
    info.uid, info.gid = 7, 8
    return info


def build(*flags, output="root.img.tar"):
    words = ["ext4_image", f"--output={output}", f"--uuid={UUID}", "--size=4M", *flags]
    return call(main, Arguments, "", words)


def tree(path="root.img.tar"):
    root = read_ext4(open_image(path)).root
    root.entries.pop(b"lost+found")
    return root


def test_a_tar_with_the_image(folder):
    assert build("--layer=base.tar", "--mtime=1700000000", "--label=root") == 0
    expected = read_archive("base.tar").root
    set_times(expected, 1700000000 * 10**9)
    assert list(differences(expected, tree())) == []
    assert ask("tar", "-tf", "root.img.tar") == "root.img\n"
    assert os.path.getsize("root.img.tar") < 200_000
    ask("tar", "-xf", "root.img.tar")
    ask("e2fsck", "-fn", "root.img")
    said = ask("dumpe2fs", "-h", "root.img")
    assert f"Filesystem UUID:          {UUID}" in said
    assert "Filesystem volume name:   root" in said


@pytest.mark.parametrize("flags", [[], ["--raw"]])
def test_digests_are_of_the_image(folder, flags):
    assert build("--layer=base.tar", "--digests=root.json", *flags) == 0
    image = open_image("root.img.tar")
    assert read_piece_digests("root.json", image) == digests_of(image)


def test_a_recipe_is_the_image_without_the_contents_of_files(folder):
    entries = [
        {"path": "opt/large", "source": "large"},
        {"path": "opt/all", "type": "files", "source": "tree/boot"},
    ]
    (folder / "large").write_bytes(b"large" * 100_000)
    layers = [{"archive": "base.tar"}, {"label": "//:files", "entries": entries}]
    (folder / "spec.json").write_text(json.dumps({"layers": layers, "uuid": UUID, "size": "4M", "label": "x"}))
    sources = ["base.tar", "large", "tree/boot"]
    given = [f"--source={path}" for path in sources]
    words = ["ext4_image", "--spec=spec.json"]
    assert call(main, Arguments, "", [*words, "--output=a.img.tar", "--digests=a.json"]) == 0
    assert call(main, Arguments, "", [*words, "--output=b.recipe", "--digests=b.json", "--recipe", *given]) == 0
    assert first_difference(open_image("a.img.tar"), open_image("b.recipe", sources)) is None
    assert (folder / "a.json").read_bytes() == (folder / "b.json").read_bytes()
    recipe = (folder / "b.recipe").read_bytes()
    assert len(recipe) < 60_000
    assert not any(content in recipe for content in (b"large" * 2, b"su" * 3, b"kernel"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--raw", "--recipe"], "error: --raw, --recipe: exclude each other; give one of them\n"),
        (["--source=base.tar"], "error: --source: is for --recipe; give both\n"),
    ],
)
def test_a_recipe_is_a_form_of_its_own(folder, capsys, flags, message):
    assert build("--layer=base.tar", *flags) == 2
    assert capsys.readouterr().err == message
    assert not os.path.exists("root.img.tar")


def test_a_raw_image_from_a_specification(folder):
    spec = {
        "layers": [
            {"archive": "base.tar"},
            {"archive": "package.tar", "label": "//:package"},
            {"label": "//:files", "entries": [{"path": "etc/version", "source": "tree/boot/vmlinuz", "mode": "0600"}]},
        ],
        "strip_paths": ["/boot/*"],
        "block_size": 1024,
        "raw": True,
        "output": "root.img",
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    words = ["ext4_image", "--spec=spec.json", f"--uuid={UUID}", "--size=4M"]
    assert call(main, Arguments, "", words) == 0
    ask("e2fsck", "-fn", "root.img")
    nodes = dict(walk(tree("root.img")))
    assert {path for path, node in nodes.items() if isinstance(node, File)} == {
        b"etc/version",
        b"usr/bin/same",
        b"usr/bin/su",
        b"usr/bin/tool",
    }
    assert (nodes[b"usr/bin/tool"].uid, nodes[b"usr/bin/tool"].gid) == (7, 8)
    assert nodes[b"usr/bin/su"] is nodes[b"usr/bin/same"]
    assert nodes[b"usr/bin/su"].permissions == 0o4755


@pytest.mark.parametrize(
    "flags",
    [
        ["--strip_paths=/none", "--strip_paths=/none/*", "--strip_paths=/boot/*"],
        ["--subdir=none"],
        ["--size=64K"],
    ],
)
def test_a_part_of_a_tree_may_lack_what_the_whole_has(folder, flags):
    assert build("--layer=base.tar", *flags) == 2
    assert build("--layer=base.tar", "--partial", *flags) == 0
    image = open_image("root.img.tar")
    if "--size=64K" in flags:
        assert (image.size, image.data_size) == (65536, 0)
    else:
        assert (b"usr/bin/su" in dict(walk(tree()))) == ("--subdir=none" not in flags)
        assert b"boot/vmlinuz" not in dict(walk(tree()))


def test_the_base_alone_has_its_data_where_the_whole_has_it(folder):
    """By this, compressed data of the base is that of the whole."""
    (folder / "large").write_bytes(b"large" * 1_000_000)
    entries = [{"path": "etc/large", "source": "large"}, {"path": "usr/bin/tool", "source": "tree/boot/vmlinuz"}]
    layers = [{"archive": "base.tar"}, {"label": "//:files", "entries": entries}]
    whole = {"layers": layers, "uuid": UUID, "size": "64M", "output": "root.img.tar"}
    base = whole | {"layers": layers[:1], "partial": True, "output": "base.img.tar"}
    for name, spec in {"whole": whole, "base": base}.items():
        (folder / f"{name}.json").write_text(json.dumps(spec))
        assert call(main, Arguments, "", ["ext4_image", f"--spec={name}.json"]) == 0
    images = [open_image(name) for name in ("base.img.tar", "root.img.tar")]
    content = (b"su" * 5000)[:8192]
    places = [image.read(0, image.size).find(content) for image in images]
    assert places[0] == places[1] > 0


def test_labels_of_a_boot_partition(folder):
    assert build("--layer=base.tar", "--subdir=boot", "--file_contexts=contexts", "--raw", output="boot.img") == 0
    ask("e2fsck", "-fn", "boot.img")
    assert "u:r:boot" in ask("debugfs", "-R", "ea_get / security.selinux", "boot.img")
    assert "u:r:boot" in ask("debugfs", "-R", "ea_get /vmlinuz security.selinux", "boot.img")
    assert "u:r:lost" in ask("debugfs", "-R", "ea_get /lost+found security.selinux", "boot.img")


def test_the_same_bytes_whatever_surrounds_it(folder):
    assert build("--layer=base.tar") == 0
    with other_surroundings(folder) as other:
        assert build("--layer=base.tar", "--member=root.img", output="other/x.tar") == 0
    assert (folder / "root.img.tar").read_bytes() == (other / "x.tar").read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--layer=none.tar"], "none.tar: cannot be read"),
        (["--layer=base.tar", "--size=64K"], "root.img: "),
        (
            ["--layer=base.tar", "--size=64K", "--size_attribute=//app:disk: a_size"],
            "error: //app:disk: a_size: ext4: the tree does not fit in 64.0 KiB (65536 bytes): it needs ",
        ),
        (["--layer=base.tar", "--strip_paths=/none"], "/none: does not exist"),
        (["--layer=base.tar", "--subdir=none"], "/none: does not exist"),
        (["--layer=base.tar", "--uuid=x"], "uuid: 'x' is not a UUID"),
        (["--layer=base.tar", "--label=12345678901234567"], "label"),
        (["--layer=base.tar", "--file_contexts=base.tar"], "base.tar:1: has"),
        (["--layer=base.tar", "--output=none/x.tar"], "none/x.tar: cannot be written"),
        (["--layers=[{}]", "--layer=x", "--hash_seed=7"], "hash_seed: "),
    ],
)
def test_errors_take_one_line_and_leave_nothing(folder, capfd, flags, message):
    before = set(os.listdir())
    assert build(*flags) == 2
    err = capfd.readouterr().err
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert set(os.listdir()) == before


def test_conflicts_name_both_layers(folder, capfd):
    with tarfile.open("other.tar", "w") as archive:
        archive.add("tree/boot/vmlinuz", "usr/bin/su")
    assert build("--layer=base.tar", "--layer=other.tar") == 2
    assert "/usr/bin/su: is given by base.tar and other.tar, with different " in capfd.readouterr().err


def test_an_error_of_the_tree_names_the_image_once(folder, capsys):
    assert build("--strip_paths=/none") == 2
    said = "error: root.img: strip_paths: /none: does not exist; correct the path, or leave it out\n"
    assert capsys.readouterr().err == said
