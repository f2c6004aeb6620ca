import os

import pytest

from tools.commands.image_extract import Arguments, main
from tools.core.cli import call
from tools.image.rawfile import write_raw
from tools.testing.oracles import ask
from tools.testing.sample_disk import disk, ext4, fat, root_tree
from tools.tree.compare import differences
from tools.tree.node import Fifo
from tools.tree.tar_reader import read_archive


@pytest.fixture
def image(tmp_path):
    root = root_tree()
    root.entries[b"usr"].entries[b"lib"].entries[b"x"].xattrs = {b"security.capability": b"\1" * 20}
    write_raw(disk(fat(root_tree("EFI/x.efi = shim")), ext4(root)), tmp_path / "disk.img")
    return tmp_path / "disk.img"


@pytest.fixture
def usual_umask():
    before = os.umask(0o022)
    yield
    os.umask(before)


def extract(image, *flags):
    return call(main, Arguments, "", ["image_extract", f"--image={image}", *flags])


@pytest.mark.parametrize("path", ["/usr/lib/x", "/lib/x"])
def test_a_file(image, tmp_path, path):
    assert extract(image, "--partition=A_root", f"--path={path}", f"--output={tmp_path / 'out'}") == 0
    assert (tmp_path / "out").read_bytes() == b"library"


def test_arguments_without_names(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(main, Arguments, "", ["image_extract", "disk.img", "/lib/x", "out", "--partition=A_root"]) == 0
    assert (tmp_path / "out").read_bytes() == b"library"


def test_to_standard_output(image, capfdbinary):
    assert extract(image, "--partition=1", "--path=EFI/x.efi") == 0
    assert capfdbinary.readouterr().out == b"shim"


def test_a_directory_is_a_tar(image, tmp_path):
    assert extract(image, "--partition=A_root", "--path=/", f"--output={tmp_path / 'out.tar'}") == 0
    found = read_archive(tmp_path / "out.tar").root
    del found.entries[b"lost+found"]
    expected = root_tree()
    expected.entries[b"usr"].entries[b"lib"].entries[b"x"].xattrs = {b"security.capability": b"\1" * 20}
    assert list(differences(expected, found)) == []
    assert "./usr/lib/x" not in ask("tar", "-tf", tmp_path / "out.tar").splitlines()
    assert "usr/lib/x" in ask("tar", "-tf", tmp_path / "out.tar").splitlines()


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        ("/boot/key", 0o600, 0o600),
        ("/boot/key", 0o644, 0o644),
        ("/boot", 0o640, 0o600),
        ("/boot", 0o644, 0o644),
    ],
)
@pytest.mark.usefixtures("usual_umask")
def test_what_was_secret_in_the_image_stays_so(tmp_path, path, mode, expected):
    root = root_tree("boot/key = LUKS")
    root.entries[b"boot"].entries[b"key"].permissions = mode
    write_raw(ext4(root), tmp_path / "config.img")
    assert extract(tmp_path / "config.img", f"--path={path}", f"--output={tmp_path / 'out'}") == 0
    assert (tmp_path / "out").stat().st_mode & 0o777 == expected


@pytest.mark.usefixtures("usual_umask")
@pytest.mark.parametrize("flags", [[], ["--partition=2"], ["--partition=1", "--path=EFI/x.efi"]])
def test_all_of_a_secret_image_is_secret(image, tmp_path, flags):
    for mode, expected in ((0o600, 0o600), (0o644, 0o644)):
        image.chmod(mode)
        assert extract(image, *flags, f"--output={tmp_path / 'out'}") == 0
        assert (tmp_path / "out").stat().st_mode & 0o777 == expected


def test_path_in_a_disk_needs_a_partition(image, tmp_path, capfd):
    assert extract(image, "--path=/lib", f"--output={tmp_path / 'out'}") == 2
    assert "is a disk; say by --partition in which partition /lib is" in capfd.readouterr().err


def test_a_directory_behind_a_link(image, tmp_path):
    assert extract(image, "--partition=A_root", "--path=/lib", f"--output={tmp_path / 'out.tar'}") == 0
    assert ask("tar", "-tf", tmp_path / "out.tar").splitlines() == ["./", "x"]


def test_a_whole_partition(image, tmp_path):
    assert extract(image, "--partition=A_root", f"--output={tmp_path / 'root.img'}") == 0
    assert "clean" in ask("e2fsck", "-n", tmp_path / "root.img")
    assert os.path.getsize(tmp_path / "root.img") == 4 << 20


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none", "root.img: has no /none"),
        ("/etc/hosts/x", "/etc/hosts/x: its component hosts is a file"),
        ("/loop", "more than 40 symbolic links"),
        ("/pipe", "root.img: /pipe is a named pipe, which has no content"),
    ],
)
def test_what_has_no_content_is_an_error(tmp_path, capfd, path, message):
    root = root_tree("etc/hosts = x", "loop -> loop")
    root.entries[b"pipe"] = Fifo()
    write_raw(ext4(root), tmp_path / "root.img")
    output = tmp_path / "out"
    assert extract(tmp_path / "root.img", f"--path={path}", f"--output={output}") == 2
    assert message in capfd.readouterr().err
    assert not output.exists()
