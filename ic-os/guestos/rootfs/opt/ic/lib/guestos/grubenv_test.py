import os
import shutil
import subprocess

import pytest

from guestos import grubenv
from guestos.errors import GuestError

VARIABLES = {"boot_alternative": "A", "boot_cycle": "stable"}


def test_written_variables_are_read_back(tmp_path):
    path = str(tmp_path / "grubenv")
    grubenv.write(path, VARIABLES)
    assert grubenv.read(path) == VARIABLES
    assert os.path.getsize(path) == 1024


def test_grub_editenv_reads_and_writes_the_same_format(tmp_path):
    editor = shutil.which("grub-editenv")
    if editor is None:
        if os.environ.get("ICOS_REQUIRE_ORACLES") == "1":
            pytest.fail("grub-editenv is missing: install the Debian package grub-common")
        pytest.skip("grub-editenv is missing: install the Debian package grub-common")
    path = str(tmp_path / "grubenv")
    grubenv.write(path, VARIABLES)
    listed = subprocess.run([editor, path, "list"], capture_output=True, text=True, check=True).stdout
    assert listed.splitlines() == ["boot_alternative=A", "boot_cycle=stable"]
    subprocess.run([editor, path, "set", "boot_alternative=B", "boot_cycle=first_boot"], check=True)
    assert grubenv.read(path) == {"boot_alternative": "B", "boot_cycle": "first_boot"}


def test_the_file_is_overwritten_in_place(tmp_path):
    path = tmp_path / "grubenv"
    path.write_bytes(b"x" * 5000)
    before = path.stat().st_ino
    grubenv.write(str(path), VARIABLES)
    assert path.stat().st_ino == before
    assert path.stat().st_size == 1024


def test_all_variables_are_in_the_first_sector():
    data = grubenv.serialize(VARIABLES)
    assert set(data[512:]) == {ord("#")}
    with pytest.raises(GuestError, match="do not fit in a sector"):
        grubenv.serialize({"name": "x" * 500})


@pytest.mark.parametrize(
    ("name", "value"),
    [("a", "$(reboot)"), ("a", "x\ny=1"), ("a", "`x`"), ("a", "x;y"), ("a=b", "x"), ("", "x"), ("a", "x#y")],
)
def test_characters_with_a_meaning_in_a_shell_are_refused(name, value):
    with pytest.raises(GuestError, match="cannot be stored"):
        grubenv.serialize({name: value})


@pytest.mark.parametrize(
    "data",
    [b"", b"# GRUB Environment Block\n", bytes(1024), b"\xff" * 1024, grubenv.serialize({}) + b"#", b"#" * 1024],
)
def test_the_error_for_a_damaged_file_names_it(tmp_path, data):
    path = tmp_path / "grubenv"
    path.write_bytes(data)
    with pytest.raises(GuestError, match="grubenv: "):
        grubenv.read(str(path))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(GuestError, match="nothing: cannot be read: No such file"):
        grubenv.read(str(tmp_path / "nothing"))
    with pytest.raises(GuestError, match="cannot be written: No such file"):
        grubenv.write(str(tmp_path / "no" / "folder"), VARIABLES)


def test_the_files_of_the_image_are_environment_blocks(request):
    folder = request.config.rootpath / "ic-os/guestos/bootloader/grub"
    assert grubenv.read(str(folder / "grubenv")) == {"boot_alternative": "A", "boot_cycle": "install"}
    assert grubenv.read(str(folder / "confirmed")) == {"confirmed_slot": "A"}
