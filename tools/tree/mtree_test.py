import datetime as dt
import hashlib
import re
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from tools.image.extents import Image
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.testing.small_trees import layer
from tools.testing.trees import trees
from tools.tree.metadata import all_nodes
from tools.tree.mtree import escaped, keywords, mtree
from tools.tree.node import Device, Directory, File, Socket, Symlink, walk
from tools.tree.tar_writer import tar_image


def quickly(count):
    return settings(deadline=None, derandomize=True, max_examples=count)


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_listing():
    root = layer("test", "/ 700", "etc/ 755", "etc/z = text", "lib -> usr/li*b").root
    root.entries[b"etc"].entries[b"a b#c"] = root.entries[b"etc"].entries[b"z"]
    root.entries[b"etc"].mtime_ns = 1_500_000_000
    root.entries[b"lib"].mtime_ns = -250_000_000
    root.entries[b"lib"].xattrs = {b"trusted.=": b"\0\xff"}
    root.entries[b"null"] = Device(block=False, major=1, minor=3, permissions=0o4666, uid=5, gid=6)
    digest = hashlib.sha256(b"text").hexdigest()
    file = f"type=file mode=0644 uid=0 gid=0 time=0.000000000 size=4 nlink=2 sha256digest={digest}"
    assert list(mtree(root)) == [
        "#mtree",
        ". type=dir mode=0700 uid=0 gid=0 time=0.000000000",
        "./etc type=dir mode=0755 uid=0 gid=0 time=1.500000000",
        f"./etc/a\\040b\\043c {file}",
        f"./etc/z {file}",
        "#link ./etc/a\\040b\\043c",
        "./lib type=link mode=0777 uid=0 gid=0 time=-1.750000000 link=usr/li\\052b nlink=1",
        "#xattr trusted.\\075=0x00ff",
        "./null type=char mode=4666 uid=5 gid=6 time=0.000000000 device=native,1,3 nlink=1",
    ]
    assert not any("sha256digest" in line for line in mtree(root, digests=False))


def test_contents_are_read_only_for_digests():
    class Unreadable(Image):
        def chunks(self, most=0):
            raise AssertionError("was read")

    root = Directory(entries={b"f": File(content=Unreadable(1 << 50))})
    assert len(list(mtree(root, digests=False))) == 3


def listed(tree):
    """Yields what `bsdtar -tv` should say of each node: type and mode, owner, size, time; and the name."""
    for path, node in walk(tree):
        when = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=node.mtime_ns // 10**9)
        name = b"./" + path if path else b"."
        if isinstance(node, Symlink):
            name += b" -> " + node.target
        size = "0"
        if isinstance(node, Device):
            size = f"{node.major},{node.minor}"
        elif isinstance(node, File):
            size = str(node.content.size)
        yield [stat.filemode(node.mode), str(node.uid), str(node.gid), size, f"{when:%b} {when.day} {when:%Y}"], name


@quickly(60)
@given(tree=trees(sockets=False, times=(0, 10**18)))  # times far enough back for bsdtar to show the year
def test_libarchive_reads_it(folder, tree):
    (folder / "listing").write_text("\n".join([*mtree(tree, digests=False), ""]))
    lines = ask("bsdtar", "--numeric-owner", "-tvf", folder / "listing").splitlines()
    expected = list(listed(tree))
    assert len(lines) == len(expected)
    for line, (fields, name) in zip(lines, expected, strict=True):
        mode, _links, uid, gid, size, month, day, year, shown = line.split(maxsplit=8)
        assert [mode, uid, gid, size, f"{month} {day} {year}"] == fields
        assert shown.encode("latin-1").decode("unicode_escape").encode("latin-1") == name


@quickly(40)
@given(tree=trees(sockets=False, times=(0, 2 * 10**18), xattr_space=0))
def test_mtree_finds_no_difference_in_what_tar_extracts(folder, tree):
    for node in list(all_nodes(tree)):  # without privileges, and such that the test may look into it
        node.permissions |= 0o700
        if isinstance(node, Directory):
            node.entries = {name: child for name, child in node.entries.items() if not isinstance(child, Device)}
    archive = write_raw(tar_image(tree), folder / "tree.tar")
    (folder / "spec").write_text(without_owners(tree))
    with tempfile.TemporaryDirectory(dir=folder) as out:
        ask("tar", "--no-same-owner", "-pSxf", archive, "-C", out)
        assert ask("mtree", "-f", folder / "spec", "-p", out) == ""


def without_owners(tree):
    """Returns a listing for folders made without privileges; `mtree -R uid,gid` checks owners all the same."""
    return "".join(re.sub(r" uid=[0-9]+ gid=[0-9]+", "", line) + "\n" for line in mtree(tree))


def test_mtree_finds_each_difference(folder):
    (folder / "spec").write_text(without_owners(layer("test", "etc/hosts = text", "lib -> usr/lib").root))
    for change, word in (
        (lambda e: e.update({b"new": layer("x", "a = 1").root.entries[b"a"]}), "extra: new"),
        (lambda e: e.pop(b"lib"), "missing: ./lib"),
        (lambda e: setattr(e[b"lib"], "target", b"usr/li"), "link"),
        (lambda e: setattr(e[b"etc"], "permissions", 0o700), "permissions"),
        (lambda e: setattr(e[b"etc"].entries[b"hosts"], "content", Image.from_bytes(b"texT")), "sha256"),
        (lambda e: setattr(e[b"etc"].entries[b"hosts"], "mtime_ns", 10**9), "modification time"),
    ):
        changed = layer("test", "etc/hosts = text", "lib -> usr/lib").root
        change(changed.entries)
        archive = write_raw(tar_image(changed), folder / "changed.tar")
        with tempfile.TemporaryDirectory(dir=folder) as out:
            ask("tar", "--no-same-owner", "-pxf", archive, "-C", out)
            said = ask("mtree", "-f", folder / "spec", "-p", out, check=False)
        assert word in said


def test_escapes():
    assert escaped(b"plain-~!") == "plain-~!"
    assert escaped(b"a=b\n\\\xff\x7f *?[#") == "a\\075b\\012\\134\\377\\177\\040\\052\\077\\133\\043"


def test_keywords_by_type():
    assert keywords(Socket())["type"] == "socket"
    assert keywords(Symlink(target=b"a b"))["link"] == "a\\040b"
