"""Packages are those that dpkg's database in the image names."""

import pytest

from tools.commands.image_which import Arguments, main
from tools.core.cli import call
from tools.image.extents import Image
from tools.image.rawfile import write_raw
from tools.testing.sample_disk import disk, ext4, fat, root_tree
from tools.tree.node import File
from tools.tree.paths import components, lookup

STATUS = """\
Package: base-files
Status: install ok installed
Architecture: amd64
Version: 13.8
Conffiles:
 /etc/motd d41d8cd98f00b204e9800998ecf8427e

Package: libx
Status: install ok installed
Architecture: amd64
Version: 2:1.0-1
"""
DATABASE = {
    "var/lib/dpkg/status": STATUS,
    "var/lib/dpkg/info/libx:amd64.list": "/.\n/usr/lib/x\n",
    "var/lib/dpkg/info/gone.list": "/usr/share/gone\n",
}
FILES = ("etc/motd = hello", "etc/own = made here", "lib -> usr/lib", "usr/lib/x = library", "usr/share/gone = x")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    root = root_tree(*FILES, *(f"{name} = to be replaced" for name in DATABASE))
    for name, text in DATABASE.items():
        node = lookup(root, components(name), follow=False)
        assert isinstance(node, File)
        node.content = Image.from_bytes(text.encode())
    file = tmp_path_factory.mktemp("which") / "disk.img"
    write_raw(disk(fat(root_tree("EFI/a = a")), ext4(root)), file)
    return file


def answers(capfd, path, *words):
    status = call(main, Arguments, "", ["image_which", str(path), *words])
    printed = capfd.readouterr()
    return status, printed.out.splitlines(), printed.err


def test_packages(path, capfd):
    words = ["--partition=A_root", "/usr/lib/x", "/lib/x", "etc/motd", "/etc/own", "/usr/share/gone"]
    assert answers(capfd, path, *words) == (
        0,
        [
            "/usr/lib/x: libx 2:1.0-1",
            "/lib/x: libx 2:1.0-1",
            "/etc/motd: base-files 13.8",
            "/etc/own: of no package",
            "/usr/share/gone: gone, which is no longer installed",
        ],
        "",
    )


def test_image_without_packages(path, capfd):
    assert answers(capfd, path, "--partition=esp", "/EFI/a")[:2] == (0, ["/EFI/a: of no package"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--partition=A_root", "/usr/none"], "partition A_root: has no /usr/none"),
        (["/usr/lib/x"], "is a disk; say by --partition in which partition /usr/lib/x is"),
        (["--partition=A_root"], "error: PATH: is missing"),
    ],
)
def test_what_is_missing(path, capfd, words, message):
    status, _, errors = answers(capfd, path, *words)
    assert status == 2
    assert message in errors
    assert errors.count("\n") == 1
