import pytest

from tools.commands.image_diff import Arguments, main
from tools.core.cli import call
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.inspect.image_differences import archive_differences
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.sample_disk import ROOT, disk, ext4, fat, root_tree

ESP = ("EFI/x = shim",)
A_ROOT = "partition 2 (A_root)"


def said(left, right):
    return list(archive_differences({"a.img": left}, {"b.img": right}))


def changed(*lines):
    """Returns the root's tree with some lines exchanged for others, by their first words."""
    words = {line.split()[0]: line for line in ROOT} | {line.split()[0]: line for line in lines}
    return root_tree(*words.values())


def sample(*lines, esp=ESP, volume_id=1, **options):
    return disk(fat(root_tree(*esp), volume_id), ext4(changed(*lines)), **options)


def test_the_same():
    assert said(sample(), sample()) == []
    assert said(Image(5), Image.from_bytes(bytes(5))) == []


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (
            sample("etc/hosts = localHost"),
            [f"{A_ROOT}: /etc/hosts: content: byte 5 is 0x68 / byte 5 is 0x48"],
        ),
        (sample("lib -> usr/li"), [f"{A_ROOT}: /lib: target: usr/lib / usr/li"]),
        (sample("tmp/ 777"), [f"{A_ROOT}: /tmp: permissions: 1777 / 0777"]),
        (
            sample(esp=("EFI/x = shIm",)),
            ["partition 1 (esp): /EFI/x: content: byte 2 is 0x69 / byte 2 is 0x49"],
        ),
        (sample(volume_id=2), ["partition 1 (esp): volume_id: 00000001 / 00000002"]),
        (sample(name="B_root"), [f"{A_ROOT}: name: A_root / B_root"]),
        (sample(data=Image.from_bytes(b"\0\1".ljust(1 << 20, b"\0"))), ["partition 3 (empty): byte 1: 0x00 / 0x01"]),
    ],
)
def test_names_the_partition_the_path_and_the_field(other, expected):
    assert said(sample(), other) == expected


def test_superblocks():
    one, other = ext4(root_tree()), ext4(root_tree(), label="root")
    assert said(one, other) == ["label:  / root"]


def test_bytes_that_nothing_describes():
    image = sample()
    gap = Image.compose(image.size, [(0, image), (900_000, Image.from_bytes(b"x"))])
    assert said(image, gap) == ["byte 900000: 0x00 / 0x78"]
    slack = ext4(root_tree())
    last = slack.size - 1
    other = Image.compose(slack.size, [(0, slack), (last, Image.from_bytes(b"x"))])
    assert said(slack, other) == [f"byte {last}: 0x00 / 0x78"]


def test_kinds_and_sizes():
    assert said(ext4(root_tree()), fat(root_tree(*ESP))) == ["size: 4194304 / 2097152", "kind: ext4 / FAT"]
    assert said(sample(), Image(5)) == [f"size: {sample().size} / 5", "kind: disk / other data"]
    assert said(Image(7), Image(5)) == ["size: 7 / 5"]


def test_damage_is_a_difference():
    image = ext4(root_tree())
    damaged = Image(image.size, [Extent(1080, 2, Data(b"\x53\xef"))])
    found = said(image, damaged)
    assert found[0].startswith("cannot be compared in detail: right: ")


def test_partitions_of_one_side():
    whole = sample()
    lines = said(whole, disk(fat(root_tree(*ESP)), ext4(root_tree()), data=Image(2 << 20)))
    assert lines[0].startswith("size: ")
    assert "partition 3 (empty): size: 1048576 / 2097152" in lines


def test_members():
    one, other = {"boot.img": Image(4), "root.img": Image(5)}, {"root.img": Image(6), "VERSION.TXT": Image(1)}
    assert list(archive_differences(one, other)) == [
        "VERSION.TXT: only in the right",
        "boot.img: only in the left",
        "root.img: size: 5 / 6",
    ]


def run(*flags):
    return call(main, Arguments, "", ["image_diff", *flags])


def test_command_line(tmp_path, capfd):
    write_raw(archive_of([Member.of("disk.img", sample())]).image, tmp_path / "a.tar")
    write_raw(sample(), tmp_path / "b.img")
    write_raw(sample("etc/hosts = x", "tmp/ 777", "lib -> x"), tmp_path / "c.img")
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/b.img") == 0
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/c.img", "--partition=esp") == 0
    assert capfd.readouterr().out == ""
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/c.img", "--most=2") == 1
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        "partition 2 (A_root): /etc/hosts: size: 9 / 1",
        "partition 2 (A_root): /lib: target: usr/lib / x",
        "and more",
    ]
    assert err == f"error: {tmp_path}/a.tar and {tmp_path}/c.img differ\n"
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/none") == 1
    assert "cannot be read" in capfd.readouterr().err
