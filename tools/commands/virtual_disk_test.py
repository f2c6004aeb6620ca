import os
import struct

import pytest

from tools.commands.virtual_disk import Arguments, main
from tools.core.cli import call
from tools.gpt.types import EFI_SYSTEM
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


@pytest.fixture
def bootable(tmp_path):
    """A disk with an EFI system partition."""
    esp = fat(root_tree("EFI/x.efi = shim"))
    return write_raw(disk(esp, ext4(root_tree()), esp_type=EFI_SYSTEM), tmp_path / "bootable.img")


def test_iso_image_is_the_disk_with_its_partitions_as_files(bootable, tmp_path):
    output = tmp_path / "my disk.iso"
    assert convert(bootable, output, "--format=iso") == 0
    assert output.stat().st_size == bootable.stat().st_size
    assert output.stat().st_blocks * 512 < 4 * MIB
    said = ask("blkid", "--probe", "--output=export", output)
    assert "LABEL=MY_DISK" in said.replace("\\", "").split()
    assert "PTTYPE=gpt" in said.split()
    assert sorted(ask("bsdtar", "-tf", output).split()) == [".", "A_ROOT.IMG", "EMPTY.IMG", "ESP.IMG"]
    with bootable.open("rb") as before, output.open("rb") as after:
        assert before.read(32 << 10) == after.read(32 << 10)
        before.seek(MIB)
        after.seek(MIB)
        assert before.read() == after.read()
    assert convert(bootable, tmp_path / "again", "--format=iso", "--label=MY_DISK") == 0
    assert (tmp_path / "again").read_bytes() == output.read_bytes()


def test_iso_image_without_partition_to_start_from(image, tmp_path, capsys):
    assert convert(image, tmp_path / "out", "--format=iso") == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {image}: has no EFI system partition, from which an ISO image is started; give ")
    assert not (tmp_path / "out").exists()


def test_label_that_is_none(bootable, tmp_path, capsys):
    assert convert(bootable, tmp_path / "out", "--format=iso", "--label=my disk") == 2
    assert f"error: {bootable}: the label 'my disk' is not one of an ISO image" in capsys.readouterr().err
    assert convert(bootable, tmp_path / "out", "--format=qcow2", "--label=DISK") == 2
    assert "--label: a file of the format qcow2 has no label; leave it out" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_iso_image_whose_name_is_not_utf_8(bootable, tmp_path):
    output = tmp_path / os.fsdecode(b"a\xff.iso")
    assert convert(bootable, output, "--format=iso") == 0
    assert "LABEL=A_" in ask("blkid", "--probe", "--output=export", output).split()


@pytest.mark.parametrize(("entries", "ends_at"), [(248, None), (256, 33792)])
def test_iso_image_of_a_disk_with_a_larger_table(bootable, tmp_path, capsys, entries, ends_at):
    ask("sgdisk", f"--resize-table={entries}", bootable)
    output = tmp_path / "disk.iso"
    assert convert(bootable, output, "--format=iso") == (2 if ends_at else 0)
    if ends_at:
        said = f"error: {bootable}: the partition table has {entries} entries and ends at byte {ends_at}, and "
        assert capsys.readouterr().err.startswith(said)
        assert not output.exists()
    else:
        assert "No problems found" in ask("sgdisk", "--verify", output)


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
