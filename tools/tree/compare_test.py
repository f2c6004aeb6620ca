import copy

import pytest

from tools.image.extents import Data, Extent, Image
from tools.tree.compare import differences, node_differences, printable
from tools.tree.node import Device, Directory, Fifo, File, Symlink


def sample():
    linked = File(content=Image.from_bytes(b"linked"))
    return Directory(
        entries={
            b"dir": Directory(entries={b"link": linked, b"file": File(content=Image.from_bytes(b"one\0\0"))}),
            b"link": linked,
            b"symlink": Symlink(target=b"dir/file"),
            b"null": Device(block=False, major=1, minor=3),
        }
    )


def changed(change):
    tree = sample()
    change(tree.entries, tree)
    return [str(difference) for difference in differences(sample(), tree)]


def content(data):
    return File(content=Image.from_bytes(data))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda e, t: None, []),
        (lambda e, t: setattr(t, "uid", 1), ["/: uid: 0 / 1"]),
        (lambda e, t: setattr(t, "permissions", 0o1777), ["/: permissions: 0755 / 1777"]),
        (lambda e, t: setattr(e[b"dir"], "gid", 7), ["/dir: gid: 0 / 7"]),
        (lambda e, t: setattr(e[b"dir"], "mtime_ns", -1), ["/dir: mtime: 0.000000000 / -0.000000001"]),
        (lambda e, t: setattr(e[b"null"], "minor", 4), ["/null: device: 1:3 / 1:4"]),
        (lambda e, t: setattr(e[b"symlink"], "target", b"\xff"), ["/symlink: target: dir/file / \\xff"]),
        (lambda e, t: e[b"null"].xattrs.update({b"user.a": b"\1"}), ["/null: xattrs: none / user.a=0x01"]),
        (
            lambda e, t: e.update({b"null": Fifo(permissions=0o600)}),
            ["/null: type: character device / named pipe", "/null: device: 1:3 / none"],
        ),
        (lambda e, t: e.pop(b"dir"), ["/dir: path: directory / none", "/link: links: /dir/link, /link / none"]),
        (lambda e, t: e.update({b"new": Directory(entries={b"x": Fifo()})}), ["/new: path: none / directory"]),
        (lambda e, t: e[b"dir"].entries.update({b"file": content(b"one\0")}), ["/dir/file: size: 5 / 4"]),
        (
            lambda e, t: e[b"dir"].entries.update({b"file": content(b"onE\0\0")}),
            ["/dir/file: content: byte 2 is 0x65 / byte 2 is 0x45"],
        ),
        (
            lambda e, t: e.update({b"link": copy.copy(e[b"link"])}),
            ["/dir/link: links: /dir/link, /link / none", "/link: links: /dir/link, /link / none"],
        ),
    ],
)
def test_names_the_path_and_the_field(change, expected):
    assert changed(change) == expected


def test_only_attributes_that_differ_are_named():
    one, other = Fifo(), Fifo()
    one.xattrs = {b"user.same": b"1", b"security.selinux": b"u:r:a\0", b"user.empty": b""}
    other.xattrs = {b"user.same": b"1", b"security.selinux": b"u:r:b\0", b"user.text": b'say "x"', b"user.more": b"m"}
    assert list(node_differences(one, other)) == [
        (
            "xattrs",
            'security.selinux="u:r:a\\0", user.empty=0x',
            'security.selinux="u:r:b\\0", user.more="m", user.text=0x73617920227822',
        )
    ]


def test_holes_equal_zeros():
    tree = sample()
    tree.entries[b"dir"].entries[b"file"].content = Image(5, [Extent(0, 3, Data(b"one"))])
    assert not list(differences(sample(), tree))


def test_fields_can_be_left_out():
    tree = sample()
    tree.uid = 3
    tree.mtime_ns = 5
    assert [difference.field for difference in differences(sample(), tree, ignore=["mtime"])] == ["uid"]


def test_paths_are_printable():
    assert printable(b"") == "/"
    assert printable("a/ä b".encode()) == "/a/ä b"
    assert printable(b"a\n\xff\x1b\\") == "/a\\n\\xff\\x1b\\"


def test_links_are_named_once_a_set():
    empty = Image.from_bytes(b"")
    left = Directory(entries=dict.fromkeys((b"a", b"b", b"c"), File(content=empty)))
    right = Directory(entries={b"a": File(content=empty)} | dict.fromkeys((b"b", b"c"), File(content=empty)))
    assert [str(each) for each in differences(left, right)] == [
        "/a: links: /a, /b, /c / none",
        "/b: links: /a, /b, /c / /b, /c",
    ]
