import hashlib
import json

import pytest

from tools.commands.image_diff import Arguments, main
from tools.core.cli import call
from tools.image.extents import Data, Extent, Image
from tools.image.rawfile import write_raw
from tools.inspect.content_differences import text_difference
from tools.inspect.image_differences import archive_differences
from tools.tar.sparse_archive import Member, archive_of
from tools.testing.sample_disk import MIB, ROOT, disk, ext4, fat, root_tree
from tools.tree.node import File

END = "\\ No newline at end of file"
ESP = ("EFI/x = shim",)
A_ROOT = "partition 2 (A_root)"


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def said(left, right):
    return [str(each) for each in archive_differences({"a.img": left}, {"b.img": right})]


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
            [f"{A_ROOT}: /etc/hosts: byte 5: 0x68 / 0x48"],
        ),
        (sample("lib -> usr/li"), [f"{A_ROOT}: /lib: target: usr/lib / usr/li"]),
        (sample("tmp/ 777"), [f"{A_ROOT}: /tmp: permissions: 1777 / 0777"]),
        (
            sample(esp=("EFI/x = shIm",)),
            ["partition 1 (esp): /EFI/x: byte 2: 0x69 / 0x49"],
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
    assert said(one, other) == ["label: none / root"]


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
    assert [str(each) for each in archive_differences(one, other)] == [
        "VERSION.TXT: only in the right (image)",
        "boot.img: only in the left (image)",
        "root.img: size: 5 / 6",
    ]


def test_new_folder_is_listed_with_all_that_is_in_it():
    other = root_tree(*ROOT, "etc/new/a = x", "etc/new/sub/b = y", "etc/new/link -> a")
    expected = [
        "/etc/new: only in the right (directory)",
        "/etc/new/a: only in the right (file)",
        "/etc/new/link: only in the right (symbolic link)",
        "/etc/new/sub: only in the right (directory)",
        "/etc/new/sub/b: only in the right (file)",
    ]
    assert [line for line in said(ext4(root_tree()), ext4(other)) if line.startswith("/")] == expected
    found = said(ext4(other), ext4(root_tree()))
    assert "/etc/new/sub/b: only in the left (file)" in found


def test_partition_of_one_side_is_named():
    image = sample()
    (one, *_) = [line for line in said(disk(fat(root_tree(*ESP)), Image(MIB), name="x"), image) if "kind" in line]
    assert one == "partition 2 (x): kind: other data / ext4"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (
            b"a\nb\nc\n",
            b"a\nx\tx\nc\n",
            ["size: 6 / 8", "byte 2: 0x62 / 0x78", "@@ -1,3 +1,3 @@", " a", "-b", "+x\tx", " c"],
        ),
        (
            b"a",
            b"a\n",
            [
                "size: 1 / 2",
                "byte 1: none / 0x0a",
                "@@ -1 +1 @@",
                "-a",
                "\\ No newline at end of file",
                "+a",
            ],
        ),
        (b"", b"a\n", ["size: 0 / 2", "byte 0: none / 0x61", "@@ -0,0 +1 @@", "+a"]),
        (b"a\r\n", b"a\n", ["size: 3 / 2", "byte 1: 0x0d / 0x0a", "@@ -1 +1 @@", "-a\\r", "+a"]),
        (
            b"\x00a",
            b"\x00b",
            [f"sha256: {sha256(chr(0).encode() + b'a')} / {sha256(chr(0).encode() + b'b')}", "byte 1: 0x61 / 0x62"],
        ),
    ],
)
def test_text_is_compared_as_text_and_other_data_by_hash(left, right, expected):
    trees = root_tree(), root_tree()
    for tree, content in zip(trees, (left, right), strict=True):
        tree.entries[b"x\x1b\n"] = File(content=Image.from_bytes(content))
    found = [line for each in archive_differences(*({"": ext4(tree)} for tree in trees)) for line in each.lines()]
    found = [line for line in found if "free_blocks" not in line]
    assert [line.removeprefix("/x\\x1b\\n: ").removeprefix("    ") for line in found] == expected


def test_long_diffs_are_cut():
    one, other = ("".join(f"{word} {number}\n" for number in range(500)).encode() for word in ("one", "other"))
    found = text_difference(Image.from_bytes(one), Image.from_bytes(other))
    assert (len(found), found[-1]) == (41, "(961 more lines)")
    assert text_difference(Image.from_bytes(one), Image.from_bytes(other * 20)) == ()


def run(*flags):
    return call(main, Arguments, "", ["image_diff", *flags])


def test_command_line(tmp_path, capfd):
    write_raw(archive_of([Member.of("disk.img", sample())]).image, tmp_path / "a.tar")
    write_raw(sample(), tmp_path / "b.img")
    write_raw(sample("etc/hosts = x", "tmp/ 777", "lib -> x"), tmp_path / "c.img")
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/b.img") == 0
    assert run(f"{tmp_path}/a.tar", f"{tmp_path}/c.img", "--partition=esp") == 0
    assert capfd.readouterr().out == ""
    assert run(f"{tmp_path}/a.tar", f"{tmp_path}/c.img", "--most=3") == 1
    out, err = capfd.readouterr()
    assert out.splitlines() == [
        f"--- {tmp_path}/a.tar",
        f"+++ {tmp_path}/c.img",
        "partition 2 (A_root): /etc/hosts: size: 9 / 1",
        "partition 2 (A_root): /etc/hosts: byte 0: 0x6c / 0x78",
        "    @@ -1 +1 @@",
        "    -localhost",
        "    \\ No newline at end of file",
        "    +x",
        "    \\ No newline at end of file",
        "partition 2 (A_root): /lib: target: usr/lib / x",
        "(there are more differences; --most=0 prints all)",
    ]
    assert err == ""
    assert run(f"--left={tmp_path}/a.tar", f"--right={tmp_path}/none") == 2
    assert "cannot be read" in capfd.readouterr().err


def test_json(tmp_path, capfd):
    write_raw(sample(), tmp_path / "a.img")
    write_raw(sample("etc/hosts = localHost", "tmp/ 777"), tmp_path / "b.img")
    assert run(f"{tmp_path}/a.img", f"{tmp_path}/b.img", "--json") == 1
    where = ["partition 2 (A_root)"]
    other = {"offset": None, "note": None, "text": []}
    text = ["@@ -1 +1 @@", "-localhost", END, "+localHost", END]
    assert json.loads(capfd.readouterr().out) == {
        "left": f"{tmp_path}/a.img",
        "right": f"{tmp_path}/b.img",
        "same": False,
        "more": False,
        "differences": [
            {
                "where": [*where, "/etc/hosts"],
                "field": "content",
                "left": "0x68",
                "right": "0x48",
                "offset": 5,
                "note": None,
                "text": text,
            },
            {"where": [*where, "/tmp"], "field": "permissions", "left": "1777", "right": "0777", **other},
        ],
    }
    assert run(f"{tmp_path}/a.img", f"{tmp_path}/a.img", "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["same"], found["more"], found["differences"]) == (True, False, [])
