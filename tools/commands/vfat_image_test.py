import json
import os
import tarfile

import pytest

from tools.commands.vfat_image import Arguments, main
from tools.core.cli import call
from tools.fat.reader import read_fat
from tools.tar.image_file import open_image
from tools.testing.oracles import ask
from tools.tree.node import File, walk


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with an archive, a file and a folder of files; paths are relative to it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "EFI" / "BOOT").mkdir(parents=True)
    (tmp_path / "EFI" / "BOOT" / "BOOTX64.EFI").write_bytes(b"shim" * 9999)
    (tmp_path / "grub.cfg").write_text("set timeout=0\n")
    with tarfile.open("boot.tar", "w") as archive:
        archive.add("EFI", "boot/efi/EFI")
        archive.add("grub.cfg", "boot/grub/grub.cfg")
    return tmp_path


def build(*flags, output="esp.img.tar", size="10M"):
    words = ["vfat_image", f"--output={output}", f"--size={size}", "--volume_id=12AB-34CD", *flags]
    return call(main, Arguments, "", words)


def contents(path):
    return {
        name.decode(): node.content.read(0, node.content.size) if isinstance(node, File) else None
        for name, node in walk(read_fat(open_image(path)).root)
        if name
    }


EXPECTED = {"EFI": None, "EFI/BOOT": None, "EFI/BOOT/BOOTX64.EFI": b"shim" * 9999}


def test_from_an_archive(folder):
    assert build("--layer=boot.tar", "--subdir=boot/efi", "--label=ESP", "--mtime=1700000001") == 0
    assert contents("esp.img.tar") == EXPECTED
    volume = read_fat(open_image("esp.img.tar"))
    assert (volume.label, volume.volume_id, volume.geometry.bits) == ("ESP", 0x12AB34CD, 16)
    assert volume.root.entries[b"EFI"].mtime_ns == 1700000000 * 10**9
    assert ask("tar", "-tf", "esp.img.tar") == "esp.img\n"
    assert os.path.getsize("esp.img.tar") < 200_000


def test_from_files_and_folders(folder):
    assert build("--file=EFI=EFI", "--file=grub/grub.cfg=grub.cfg", "--raw", output="esp.img") == 0
    assert contents("esp.img") == EXPECTED | {"grub": None, "grub/grub.cfg": b"set timeout=0\n"}
    ask("fsck.fat", "-n", "esp.img")
    assert "Volume Serial Number is 12AB-34CD" in ask("mdir", "-i", "esp.img", "::")
    assert os.path.getsize("esp.img") == 10 << 20


def test_from_a_specification(folder):
    entries = [{"path": "grub/grub.cfg", "source": "grub.cfg"}, {"path": "empty", "type": "directory"}]
    spec = {
        "layers": [{"label": "//x:y", "entries": entries}],
        "size": "40M",
        "volume_id": "00000001",
        "fat_type": "32",
        "cluster_size": 512,
        "member": "grub.img",
        "output": "grub.tar",
    }
    (folder / "spec.json").write_text(json.dumps(spec))
    assert call(main, Arguments, "", ["vfat_image", "--spec=spec.json"]) == 0
    assert contents("grub.tar") == {"grub": None, "grub/grub.cfg": b"set timeout=0\n", "empty": None}
    assert read_fat(open_image("grub.tar")).geometry.bits == 32
    assert ask("tar", "-tf", "grub.tar") == "grub.img\n"


def test_machine_leaves_no_trace(folder):
    assert build("--file=EFI=EFI") == 0
    before = (folder / "esp.img.tar").read_bytes()
    os.chmod("EFI", 0o2700)
    os.chmod("EFI/BOOT/BOOTX64.EFI", 0o4711)
    os.utime("EFI/BOOT/BOOTX64.EFI", (1, 2))
    assert build("--file=EFI=EFI") == 0
    assert (folder / "esp.img.tar").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--volume_id=123"], "volume_id: '123' is not eight hexadecimal digits"),
        (["--label=esp"], "esp.img: label 'esp' is not one of"),
        (["--fat_type=64"], "--fat_type: must be one of 12, 16, 32"),
        (["--file=grub.cfg"], "file: 'grub.cfg' is not PATH=SOURCE"),
        (["--file=a=missing"], "missing: No such file or directory"),
        (["--file=a=/dev/null"], "/dev/null: is neither a file nor a folder"),
        (["--file=a=links"], "links/l: is neither a file nor a folder"),
        (["--file=a=grub.cfg", "--file=A=grub.cfg"], "esp.img: /a (from a=grub.cfg) differs only in case from /A"),
        (["--file=EFI=EFI", "--size=32K"], "esp.img: fat: the tree does not fit in 32768 bytes: "),
        (
            ["--file=EFI=EFI", "--size=32K", "--size_attribute=//app:disk: a_size"],
            "error: //app:disk: a_size: fat: the tree does not fit in 32768 bytes: it needs ",
        ),
        (["--layer=boot.tar", "--subdir=etc"], "etc"),
    ],
)
def test_errors_leave_no_output(folder, capsys, flags, message):
    (folder / "links").mkdir()
    (folder / "links" / "l").symlink_to("../grub.cfg")
    before = sorted(os.listdir("."))
    assert build(*flags) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert message in said
    assert sorted(os.listdir(".")) == before


def test_an_error_of_the_tree_names_the_image_once(folder, capsys):
    assert build("--strip_paths=/none") == 2
    said = "error: esp.img: strip_paths: /none: does not exist; correct the path, or leave it out\n"
    assert capsys.readouterr().err == said
