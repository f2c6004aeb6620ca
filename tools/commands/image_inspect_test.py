"""What `bazel run :IMAGE.inspect` does; //tests/e2e:consumer_test starts it by Bazel."""

import json

import pytest

from tools.commands import image_layers
from tools.commands.image_inspect import Arguments, main
from tools.core.cli import call
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.rootfs.assemble import assemble
from tools.rootfs.tree_spec import Entry, LayerSpec, RootfsArguments
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.sample_disk import disk, ext4, fat, root_tree

DATABASE = {
    "var/lib/dpkg/status": "Package: libx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 2:1.0-1\n",
    "var/lib/dpkg/info/libx:amd64.list": "/.\n/usr/lib/x\n",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A disk, whose spec also names its layers."""
    folder = tmp_path_factory.mktemp("inspect")
    for name, text in {**DATABASE, "etc/motd": "hello", "etc/own": "own", "usr/lib/x": "library"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    entries = {name: Entry(path=name, source=str(folder / name)) for name in (*DATABASE, "etc/motd", "usr/lib/x")}
    own = Entry(path="etc/own", source=str(folder / "etc/own"))
    link = Entry(path="lib", type="symlink", target="usr/lib")
    tree = RootfsArguments(
        layers=(
            LayerSpec(label="@@//a:packages", entries=[link, *entries.values()]),
            LayerSpec(label="@@//a:own", entries=[own]),
        )
    )
    image_layers.main(
        image_layers.Arguments(parts=(image_layers.Part(name="A_root", tree=tree),), output=str(folder / "layers.json"))
    )
    write_raw(disk(fat(root_tree("EFI/a = a")), ext4(assemble(tree, "test"))), folder / "disk.img")
    spec = {"image": str(folder / "disk.img"), "layers": str(folder / "layers.json")}
    (folder / "spec.json").write_text(json.dumps(spec))
    return folder / "spec.json"


def inspect(capfd, image, *words):
    status = call(main, Arguments, "", ["image_inspect", f"--spec={image}", *words])
    printed = capfd.readouterr()
    return status, printed.out, printed.err


def test_ls(image, capfd):
    status, without_words, _ = inspect(capfd, image)
    assert status == 0
    assert "A_root" in without_words
    assert inspect(capfd, image, "ls") == (0, without_words, "")
    assert inspect(capfd, image, "ls", "/etc", "--partition=A_root", "--format=paths") == (
        0,
        "/etc\n/etc/motd\n/etc/own\n",
        "",
    )
    assert json.loads(inspect(capfd, image, "ls", "--json")[1])["partitions"][1]["name"] == "A_root"


def test_cat(image, capfd):
    words = ["cat", "--partition=A_root", "/etc/motd", "/lib/x"]
    assert inspect(capfd, image, *words) == (0, "hellolibrary", "")


def test_extract(image, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inspect(capfd, image, "extract", "--partition=esp", "/EFI/a", "out")[0] == 0
    assert (tmp_path / "out").read_bytes() == b"a"
    assert inspect(capfd, image, "extract", "--partition=esp", "/EFI/a", "-")[1] == "a"


def test_which(image, capfd):
    status, output, _ = inspect(capfd, image, "which", "--partition=A_root", "/lib/x", "/etc/own", "/var")
    assert status == 0
    assert output.splitlines() == [
        "/lib/x: libx 2:1.0-1, layer //a:packages",
        "/etc/own: of no package, layer //a:own",
        "/var: of no package, layer //a:packages",
    ]
    assert inspect(capfd, image, "which", "--partition=esp", "/EFI/a")[1] == "/EFI/a: of no package\n"


def test_update_image(image, capfd, tmp_path):
    members = [
        Member.of("manifest.json", Image.from_bytes(b"{}\n")),
        Member.of("root.img", ext4(root_tree("etc/own = own"))),
    ]
    write_raw(archive_of(members).image, tmp_path / "update.tar")
    (tmp_path / "layers.json").write_text(json.dumps({"root.img": {"@@//a:own": ["/etc/own"]}}))
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"image": str(tmp_path / "update.tar"), "layers": str(tmp_path / "layers.json")}))
    assert [line.split()[1:] for line in inspect(capfd, spec)[1].splitlines()[1:]] == [
        ["data", "manifest.json"],
        ["ext4", "root.img"],
    ]
    assert inspect(capfd, spec, "cat", "--member=manifest.json") == (0, "{}\n", "")
    assert inspect(capfd, spec, "cat", "--member=root.img", "/etc/own") == (0, "own", "")
    assert inspect(capfd, spec, "cat", "--member=root.img")[2].startswith("error: cat: PATH is missing")
    assert (
        inspect(capfd, spec, "which", "--member=root.img", "/etc/own")[1] == "/etc/own: of no package, layer //a:own\n"
    )
    status, _, errors = inspect(capfd, spec, "cat", "/etc/own")
    assert status == 2
    assert errors.endswith("update.tar: has several files; say by --member which: manifest.json, root.img\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cat"], "cat: PATH is missing"),
        (["cat", "--partition=A_root", "/etc/motd", "/etc"], "/etc is a directory; `extract` writes it as a tar"),
        (["cat", "/etc/motd"], "is a disk; say by --partition in which partition /etc/motd is"),
        (["which"], "which: PATH is missing"),
        (["which", "--json", "/etc"], "--json: is for ls, not for which; leave it out"),
        (["extract", "/etc"], "extract: give the path in the image, and the file to write"),
        (["show", "/etc"], "--command: must be one of"),
        (["ls", "--layers=/dev/null"], ""),
    ],
)
def test_mistakes(image, capfd, words, message):
    status, output, errors = inspect(capfd, image, *words)
    if not message:
        assert (status, errors) == (0, "")
        return
    assert (status, output) == (2, "")
    assert message in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1


def test_a_file_that_has_no_layers(image, capfd, tmp_path):
    (tmp_path / "list").write_text("[]")
    status, _, errors = inspect(capfd, image, "which", "--partition=A_root", "/etc", f"--layers={tmp_path / 'list'}")
    assert status == 2
    assert "list: is not a file of image_layers; leave out --layers" in errors
