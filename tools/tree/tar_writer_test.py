import datetime as dt
import os
import re
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from tools.core.errors import UserError
from tools.image.extents import Data, Extent, Image
from tools.tar import acl
from tools.testing.folders import read_folder
from tools.testing.oracles import ask
from tools.testing.raw import write_raw
from tools.testing.small_trees import layer
from tools.testing.trees import EXT4_TIMES, trees
from tools.tree.compare import differences
from tools.tree.metadata import all_nodes
from tools.tree.node import Device, Directory, Fifo, File, Socket, Symlink, walk
from tools.tree.tar_reader import read_archive
from tools.tree.tar_writer import tar_image

TREES = trees(sockets=False)
SINCE_1970 = trees(sockets=False, times=(0, EXT4_TIMES[1]))
"""For judges that get fractions of seconds before 1970 wrong: GNU tar when it lists, libarchive when it writes."""

LIST = b"user::rwx,user:1000:r-x:1000,group::r--,mask::rwx,other::---"


def quickly(count):
    return settings(deadline=None, derandomize=True, max_examples=count)


def said(tree, other, ignore=()):
    return [str(difference) for difference in differences(tree, other, ignore)]


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@quickly(200)
@given(tree=TREES)
def test_comes_back(folder, tree):
    archive = write_raw(tar_image(tree), folder / "own.tar")
    assert said(tree, read_archive(archive).root) == []


@quickly(60)
@given(tree=SINCE_1970)
def test_bsdtar_reads_it_and_writes_the_same_tree(folder, tree):
    for path, node in walk(tree):  # libarchive loses other names, and doesn't undo the escapes that GNU tar has for two
        node.xattrs = {re.sub(rb"[^ -~]|[%=]", b"_", name): value for name, value in node.xattrs.items()}
        # Some versions write damaged maps of files without data, and cut the names of sparse files.
        if isinstance(node, File) and (not node.content.extents or len(path) >= 90):
            node.content = Image.from_bytes(node.content.read(0, node.content.size))
    archive = write_raw(tar_image(tree), folder / "ours.tar")
    theirs = folder / "theirs.tar"
    ask("bsdtar", "--options=hdrcharset=BINARY", "--format=pax", "-cf", theirs, f"@{archive}", LC_ALL="C.UTF-8")
    assert said(tree, read_archive(theirs).root) == []


@quickly(100)
@given(tree=TREES)
def test_tarfile_reads_it(folder, tree):
    archive = write_raw(tar_image(tree), folder / "tarfile.tar")
    nodes = dict(walk(tree))
    with tarfile.open(archive, errors="surrogateescape") as tar:
        members = {os.fsencode(member.name): member for member in tar}
        members[b""] = members.pop(b".")
        assert members.keys() == nodes.keys()
        for path, member in members.items():
            node = nodes[path]
            assert (member.mode, member.uid, member.gid) == (node.permissions, node.uid, node.gid)
            assert member.mtime == pytest.approx(node.mtime_ns / 10**9)
            if member.isreg():
                assert tar.extractfile(member).read() == node.content.read(0, node.content.size)
            elif member.islnk():
                assert nodes[os.fsencode(member.linkname)] is node
            elif member.issym():
                assert os.fsencode(member.linkname) == node.target
            elif member.isdev() and not member.isfifo():
                assert (member.isblk(), member.devmajor, member.devminor) == (node.block, node.major, node.minor)


def quoted(name):
    """Returns a name as `tar --quoting-style=escape` shows it."""
    return "".join(chr(c) if 32 <= c < 127 and c != 92 else _ESCAPES.get(c, f"\\{c:03o}") for c in name)


_ESCAPES = {ord(character): "\\" + letter for character, letter in zip("\a\b\t\n\v\f\r\\", "abtnvfr\\", strict=True)}


def listed(tree):
    """Yields what `tar --list` should say."""
    first = {}
    for path, node in walk(tree):
        name = quoted(path + b"/" if path else b"./") if isinstance(node, Directory) else quoted(path)
        linked = not isinstance(node, Directory) and first.setdefault(node, path) != path
        mode = "h" + stat.filemode(node.mode)[1:] if linked else stat.filemode(node.mode)
        size = "0"
        if isinstance(node, Device) and not linked:
            size = f"{node.major},{node.minor}"
        elif isinstance(node, File) and not linked:
            size = str(node.content.size)
        when = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=node.mtime_ns // 10**9)
        fraction = f".{node.mtime_ns % 10**9:09}".rstrip("0").rstrip(".")
        if linked:
            name += f" link to {quoted(first[node])}"
        elif isinstance(node, Symlink):
            name += f" -> {quoted(node.target)}"
        yield [mode, f"{node.uid}/{node.gid}", size, f"{when:%Y-%m-%d}", f"{when:%H:%M:%S}{fraction}", name]


@quickly(60)
@given(tree=SINCE_1970)
def test_gnu_tar_lists_it(folder, tree):
    archive = write_raw(tar_image(tree), folder / "gnu.tar")
    lines = ask("tar", "--quoting-style=escape", "--full-time", "--numeric-owner", "-tvf", archive).splitlines()
    found = [line.split(maxsplit=5) for line in lines if "Ignoring unknown extended header keyword" not in line]
    assert found == list(listed(tree))


def make_extractable(tree):
    """Leaves out what needs privileges, and lets the test look into the rest."""
    for node in list(all_nodes(tree)):
        node.permissions |= 0o700
        if isinstance(node, Directory):
            node.entries = {name: child for name, child in node.entries.items() if not isinstance(child, Device)}


@quickly(40)
@given(tree=trees(sockets=False, xattr_space=0, times=(-(10**18), 2 * 10**18)))  # what all file systems keep
def test_gnu_tar_extracts_it(folder, tree):
    make_extractable(tree)
    archive = write_raw(tar_image(tree), folder / "gnu.tar")
    with tempfile.TemporaryDirectory(dir=folder) as out:
        ask("tar", "--no-same-owner", "-pSxf", archive, "-C", out)
        assert said(tree, read_folder(Path(out)), ignore=["uid", "gid"]) == []


def test_gnu_tar_sees_extended_attributes(folder):
    tree = layer("test", "f = x").root
    tree.entries[b"f"].xattrs = {
        b"user.a=%": b"12345",
        b"security.selinux": b"u:r:t\0",
        acl.ACCESS: acl.from_text(LIST),
    }
    archive = write_raw(tar_image(tree), folder / "xattr.tar")
    lines = ask("tar", "--xattrs", "--xattrs-include=*", "--acls", "-tvvf", archive)
    assert "x: 5 user.a=%" in lines
    assert "x: 6 security.selinux" in lines
    assert "a: user::rwx,user:1000:r-x:1000" in lines
    assert said(tree, read_archive(archive).root) == []


def test_holes_are_not_stored(folder):
    content = Image(1 << 40, [Extent(1 << 39, 5, Data(b"hello"))])
    tree = Directory(entries={b"sparse": File(content=content)})
    archive = write_raw(tar_image(tree), folder / "sparse.tar")
    assert archive.stat().st_size == 10240
    assert said(tree, read_archive(archive).root) == []
    assert f" {1 << 40} " in ask("tar", "-tvf", archive)
    assert f" {1 << 40} " in ask("bsdtar", "-tvf", archive)


def test_large_files_and_numbers(folder):
    content = Image(9 << 30, [Extent(0, 9 << 30, Data(b""))])  # never read: only the headers are
    image = tar_image(Directory(entries={b"large": File(content=content, uid=2**32 - 2)}))
    (archive := folder / "large.tar").write_bytes(image.read(0, 2048))
    os.truncate(archive, image.size)
    assert f"4294967294/0 {9 << 30} " in " ".join(ask("tar", "--numeric-owner", "-tvf", archive).split())


def test_sockets_are_refused():
    with pytest.raises(UserError, match="/a/s: is a socket"):
        tar_image(Directory(entries={b"a": Directory(entries={b"s": Socket()})}))


def test_damaged_access_control_lists_are_refused():
    with pytest.raises(UserError, match="/p: access control list"):
        tar_image(Directory(entries={b"p": Fifo(xattrs={acl.DEFAULT: b"junk"})}))


def test_deep_paths(folder):
    tree = layer("test", "directory/" * 390 + "x = x").root
    archive = write_raw(tar_image(tree), folder / "deep.tar")
    assert said(tree, read_archive(archive).root) == []
    assert len(ask("tar", "-tf", archive).splitlines()) == 392
