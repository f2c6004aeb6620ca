import io
import os
import tarfile

import pytest

from tools.core.errors import UserError
from tools.image.extents import FileRange
from tools.testing.oracles import ask
from tools.testing.small_trees import listing
from tools.tree.compare import differences
from tools.tree.node import Device, Directory, Fifo, File
from tools.tree.paths import components, lookup
from tools.tree.tar_reader import read_archive


def info(name, kind=tarfile.REGTYPE, link="", mode=0o644, **records):
    result = tarfile.TarInfo(name)
    result.type, result.linkname, result.mode, result.pax_headers = kind, link, mode, records
    result.mtime = 1_700_000_000
    return result


def hard(name, target):
    return info(name, tarfile.LNKTYPE, target)


def soft(name, target):
    return info(name, tarfile.SYMTYPE, target)


@pytest.fixture
def archive(tmp_path):
    def make(*members):
        path = tmp_path / "test.tar"
        with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
            for member in members:
                data = b"data" if member.isreg() and not member.name.endswith("/") else b""
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        return path

    return make


def test_reads_all_types(archive):
    device = info("dev/null", tarfile.CHRTYPE, mode=0o666)
    device.devmajor, device.devminor = 1, 3
    layer = read_archive(
        archive(
            info(".", tarfile.DIRTYPE, mode=0o700),
            info("./usr/bin/su", mode=0o4755),
            info("usr", tarfile.DIRTYPE, mode=0o755),
            device,
            info("run/pipe", tarfile.FIFOTYPE),
            soft("bin", "usr/bin"),
            hard("bin/sh", "./bin/su"),
            info("old/", tarfile.AREGTYPE, mode=0o755),
        ),
        "//:base",
    )
    assert listing(layer.root) == [
        "bin -> usr/bin",
        "dev/",
        "dev/null: character device",
        "old/",
        "run/",
        "run/pipe: named pipe",
        "usr/",
        "usr/bin/",
        "usr/bin/sh = data",
        "usr/bin/su = data",
    ]
    su = lookup(layer.root, components("usr/bin/su"))
    assert su is lookup(layer.root, components("usr/bin/sh"))
    assert isinstance(su, File)
    assert (su.permissions, su.origin) == (0o4755, "//:base")
    assert isinstance(su.content.extents[0].source, FileRange)
    null = lookup(layer.root, components("dev/null"))
    assert isinstance(null, Device)
    assert (null.block, null.major, null.minor) == (False, 1, 3)
    assert isinstance(lookup(layer.root, components("run/pipe")), Fifo)
    assert layer.root.permissions == 0o700
    implied = {path for path in ("usr", "usr/bin", "dev", "run", "old") if _at(layer, path) in layer.implied}
    assert implied == {"usr/bin", "dev", "run"}


def _at(layer, path):
    return lookup(layer.root, components(path))


def test_hard_links_may_stand_before_their_file(archive):
    layer = read_archive(
        archive(
            hard("a", "b"),
            hard("b", "d/c"),
            hard("a", "./b"),
            info("d/c"),
        )
    )
    assert _at(layer, "a") is _at(layer, "b") is _at(layer, "d/c")


def test_the_same_member_twice(archive):
    layer = read_archive(archive(info("a"), hard("b", "a"), info("a"), hard("b", "a")))
    assert listing(layer.root) == ["a = data", "b = data"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([info("/etc/passwd")], r"member '/etc/passwd' at byte 0: /etc/passwd: is an absolute path"),
        ([info("a/../../b")], r"member 'a/../../b' at byte 0: /a/../../b: has '..' in it"),
        ([info("n" * 256)], r"longer than 255 bytes"),
        ([info("a"), info("a/b")], r"member 'a/b' at byte 1024: /a: is a file, not a directory"),
        (
            [info("a"), info("a", tarfile.DIRTYPE)],
            r"member 'a/?' at byte 1024: /a: is given by .*, twice, with different type",
        ),
        (
            [info("a"), info("a", mode=0o600)],
            r"/a: is given by .*test.tar, twice, with different permissions \(0644 / 0600\)",
        ),
        (
            [hard("a", "nothing")],
            r"member 'a' .* is a hard link to /nothing, which isn't in the archive",
        ),
        ([hard("a", "a")], r"member 'a' .* is a hard link to /a, which is a link to itself"),
        (
            [hard("a", "b"), hard("b", "c"), hard("c", "a")],
            r"is a hard link to /\w, which is a link to itself",
        ),
        (
            [hard("a", "b"), hard("b", "c")],
            r"'b'.* to /c, which isn't in the archive",
        ),
        ([hard("a", "../b"), info("b")], r"has '..' in it"),
        ([hard("a", "/b"), info("b")], r"is an absolute path"),
        ([info("d", tarfile.DIRTYPE), hard("a", "d")], r"is a hard link to a directory, /d"),
        (
            [hard("a", "x"), hard("a", "y"), info("x")],
            r"is already a hard link to another file, at byte 0",
        ),
        ([soft("a", "")], r"symbolic link to a path that is empty"),
        ([soft("a", "t" * 4096)], r"symbolic link to a path that is empty, too long"),
        (
            [soft("a", "b"), soft("b", "a"), info("a/x")],
            r"more than 40 symbolic links",
        ),
        ([soft(".", "x")], r"/: must be a directory, not a symbolic link"),
    ],
)
def test_what_makes_no_tree_is_refused(archive, members, message):
    with pytest.raises(UserError, match=message) as caught:
        read_archive(archive(*members))
    assert str(caught.value).startswith(str(archive(*members)))


def test_links_that_lead_out_stay_inside(archive):
    layer = read_archive(archive(soft("up", "../../.."), info("up/etc/x"), soft("abs", "/etc")))
    assert listing(layer.root) == ["abs -> /etc", "etc/", "etc/x = data", "up -> ../../.."]


def test_equal_values_of_many_members_are_one_object(archive):
    """So a labelled tree of many files takes no more memory than one without labels."""
    label = {"SCHILY.xattr.security.selinux": "system_u:object_r:usr_t:s0", "SCHILY.xattr.user.note": "x"}
    root = read_archive(archive(*(info(name, **label) for name in "ab"))).root
    one, other = root.entries[b"a"], root.entries[b"b"]
    assert one.xattrs is other.xattrs
    assert len(one.xattrs) == 2
    assert one.mtime_ns is other.mtime_ns


def test_reads_what_gnu_tar_and_bsdtar_make_of_the_same_files(tmp_path):
    source = tmp_path / "in"
    (source / ("long" * 40) / ("name" * 30)).mkdir(parents=True)
    for index in range(50):
        path = source / ("long" * 40) / str(index)
        path.write_bytes(bytes(index) * index)
        path.chmod(0o600 + index)
    os.link(path, source / "link")
    os.symlink("x" * 200, source / "symlink")
    trees: list[Directory] = []
    for tool, option in (("tar", "--format=posix"), ("tar", "--format=gnu"), ("bsdtar", "--format=pax")):
        ask(tool, option, "-C", source, "-cf", tmp_path / "out.tar", ".")
        (tmp_path / "out.tar").rename(tmp_path / f"{len(trees)}.tar")
        trees.append(read_archive(tmp_path / f"{len(trees)}.tar").root)
    assert not list(differences(trees[0], trees[1], ignore=["mtime"]))
    assert not list(differences(trees[0], trees[2]))


def test_a_member_twice_is_mended_as_the_message_says(tmp_path):
    file, updated, packed = tmp_path / "in" / "file", tmp_path / "updated.tar", tmp_path / "packed.tar"
    file.parent.mkdir()
    for content in (b"old", b"newer"):
        file.write_bytes(content)
        ask("tar", "-C", file.parent, "-rf", updated, "file")
    with pytest.raises(UserError, match=r"/file: is given by .*updated\.tar, twice, .* by unpacking it and packing it"):
        read_archive(updated)
    (tmp_path / "out").mkdir()
    ask("tar", "-C", tmp_path / "out", "-xf", updated)
    ask("tar", "-C", tmp_path / "out", "-cf", packed, ".")
    node = lookup(read_archive(packed).root, [b"file"])
    assert node.content.read(0, node.content.size) == b"newer"
