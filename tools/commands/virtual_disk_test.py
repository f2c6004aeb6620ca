import struct

import pytest

from tools.commands.virtual_disk import Arguments, main
from tools.core.cli import call
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.testing.sample_disk import MIB, disk, ext4, fat, root_tree


@pytest.fixture
def image(tmp_path):
    return write_raw(disk(fat(root_tree("EFI/x.efi = shim")), ext4(root_tree())), tmp_path / "disk.img")


def convert(image, *words):
    return call(main, Arguments, "", ["virtual_disk", str(image), *map(str, words)])


@pytest.mark.parametrize("name", ["qcow2", "vhdx", "vmdk"])
def test_qemu_reads_the_same_disk_and_the_file_is_small(image, tmp_path, name):
    output = tmp_path / f"out.{name}"
    assert convert(image, output, f"--format={name}") == 0
    ask("qemu-img", "compare", "-f", "raw", "-F", name, image, output)
    assert output.stat().st_blocks * 512 < 4 * MIB
    assert convert(image, tmp_path / "again" if name != "vmdk" else output, f"--format={name}") == 0
    assert name == "vmdk" or (tmp_path / "again").read_bytes() == output.read_bytes()


def test_vmdk_has_the_name_of_the_output(image, tmp_path):
    assert convert(image, tmp_path / "machine.vmdk", "--format=vmdk") == 0
    assert b'SPARSE "machine.vmdk"' in (tmp_path / "machine.vmdk").read_bytes()


def test_vhdx_has_the_guid_of_the_disk(image, tmp_path):
    assert convert(image, tmp_path / "out", "--format=vhdx") == 0
    assert struct.pack("<IHHQ", 0, 0, 0, 99 << 56) in (tmp_path / "out").read_bytes()


def test_image_without_partition_table(tmp_path, capsys):
    (tmp_path / "x").write_bytes(b"x" * 4096)
    assert convert(tmp_path / "x", tmp_path / "out", "--format=qcow2") == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'x'}: has no GUID partition table\n"
    assert not (tmp_path / "out").exists()


def test_unknown_format(image, tmp_path, capsys):
    assert convert(image, tmp_path / "out", "--format=vdi") == 2
    assert "qcow2" in capsys.readouterr().err
